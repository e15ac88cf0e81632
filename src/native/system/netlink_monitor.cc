#include "system/netlink_monitor.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "support/owned_fd.h"
#include "support/unique_fd.h"
#include "support/values.h"

namespace devmem {

namespace {

// The kernel's own messages fit in this (include/linux/netlink.h NLMSG_GOODSIZE
// is at most 8 KiB; one about a link with very many properties may be larger).
constexpr size_t kReadSize = 64 << 10;

// openNetlinkGroups(protocol, groups) -> OwnedFd | -errno; `groups` is a mask.
Napi::Value OpenNetlinkGroups(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, ToInt(info[0])));
  if (!fd.valid()) return Napi::Number::New(env, -errno);
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = ToUint(info[1]);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return Napi::Number::New(env, -errno);
  }
  return OwnedFd::New(env, std::move(fd));
}

// receiveNetlink(fd: OwnedFd) -> messages of one datagram (Buffer) | -errno.
// Empty where it did not come from the kernel (port 0) or did not fit.
Napi::Value ReceiveNetlink(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  if (fd == nullptr) {
    ThrowMisuse(env, "receiveNetlink(OwnedFd)");
    return env.Undefined();
  }
  std::vector<uint8_t> data(kReadSize);
  sockaddr_nl from = {};
  socklen_t from_size = sizeof from;
  ssize_t got;
  do {
    got = recvfrom(fd->get(), data.data(), data.size(), MSG_TRUNC | MSG_DONTWAIT,
                   reinterpret_cast<sockaddr*>(&from), &from_size);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Napi::Number::New(env, -errno);
  bool keep = static_cast<size_t>(got) <= data.size() && from.nl_pid == 0;
  return Napi::Buffer<uint8_t>::Copy(env, data.data(), keep ? static_cast<size_t>(got) : 0);
}

}  // namespace

void DefineNetlinkMonitor(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "openNetlinkGroups", OpenNetlinkGroups,
                                         napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "receiveNetlink", ReceiveNetlink,
                                         napi_enumerable),
  });
}

}  // namespace devmem
