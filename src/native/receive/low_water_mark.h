// SO_RCVLOWAT: how many bytes have to wait before the event loop finds a socket
// readable.
//
// The option says so much to every wait anew, and the kernel wakes earlier where the
// receive buffer is full: a reader that got some of what it waits for would wait for as
// much once more. So the mark stands for places in the stream, every so many bytes, and
// the option is set to what is left to the next.
#pragma once

#include <cstdint>

namespace devmem {

class LowWaterMark {
 public:
  // Marks every `bytes` bytes of the stream, 1 to 2^31 - 1, from `ahead` bytes before what
  // is read next. 0 or -errno.
  int Set(int socket, uint32_t bytes, uint64_t ahead);

  // Whether there is any, so that what a read leaves behind might not wake.
  bool active() const { return every_ > 1; }

  // To be called after each read of `bytes`. Unless it `drained` the socket, what it left
  // may lie before the next mark, and has to wake nevertheless.
  void AfterRead(int socket, uint64_t bytes, bool drained);

 private:
  void Advance(uint64_t bytes);
  int Apply(int socket, uint32_t bytes);

  uint32_t every_ = 1;
  uint32_t left_ = 1;  // to the next mark
  uint32_t set_ = 1;   // as the kernel has it, but for its limit: half of the receive buffer
};

}  // namespace devmem
