#include "receive/low_water_mark.h"

#include <sys/socket.h>

#include <cerrno>

namespace devmem {

int LowWaterMark::Set(int socket, uint32_t bytes, uint64_t ahead) {
  every_ = left_ = bytes;
  Advance(ahead);
  return Apply(socket, left_);
}

void LowWaterMark::AfterRead(int socket, uint64_t bytes, bool drained) {
  if (!active()) return;
  Advance(bytes);
  // Where it fails, the kernel has no such socket any more.
  Apply(socket, drained ? left_ : 1);
}

void LowWaterMark::Advance(uint64_t bytes) {
  uint64_t beyond = every_ - left_ + bytes;
  left_ = every_ - static_cast<uint32_t>(beyond % every_);
}

int LowWaterMark::Apply(int socket, uint32_t bytes) {
  if (bytes == set_) return 0;
  int value = static_cast<int>(bytes);
  if (setsockopt(socket, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value) < 0) return -errno;
  set_ = bytes;
  return 0;
}

}  // namespace devmem
