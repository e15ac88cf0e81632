#include "system/fd_passing.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "support/closing.h"
#include "support/owned_fd.h"
#include "support/unique_fd.h"
#include "support/values.h"

namespace devmem {

namespace {

// include/net/scm.h SCM_MAX_FD
constexpr uint32_t kMaxFds = 253;

// Room for one control message of so many descriptors.
std::vector<uint8_t> ControlFor(size_t fds) {
  return std::vector<uint8_t>(fds == 0 ? 0 : CMSG_LEN(fds * sizeof(int)));
}

msghdr MessageOf(iovec* io, std::vector<uint8_t>& control) {
  msghdr message = {};
  message.msg_iov = io;
  message.msg_iovlen = 1;
  message.msg_control = control.empty() ? nullptr : control.data();
  message.msg_controllen = control.size();
  return message;
}

bool ReadNumbers(const Napi::Value& value, std::vector<int>* numbers) {
  if (!value.IsArray()) return false;
  Napi::Array array = value.As<Napi::Array>();
  if (array.Length() > kMaxFds) return false;
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value element;
    if (!array.Get(i).UnwrapTo(&element)) return false;
    numbers->push_back(ToInt(element));
  }
  return true;
}

// sendFds(fd, bytes: Uint8Array, fds: number[]) -> bytes sent | -errno.
// The descriptors go with the first byte; a stream socket may take fewer bytes
// than there are.
Napi::Value SendFds(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::vector<int> fds;
  if (!IsTypedArray(info[1], napi_uint8_array) || !ReadNumbers(info[2], &fds)) {
    ThrowMisuse(env, "sendFds(fd, Uint8Array, number[])");
    return env.Undefined();
  }
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  std::vector<uint8_t> control = ControlFor(fds.size());
  iovec io = {bytes.Data(), bytes.ByteLength()};
  msghdr message = MessageOf(&io, control);
  if (!fds.empty()) {
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = control.size();
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent;
  do {
    sent = sendmsg(ToInt(info[0]), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return Napi::Number::New(env, static_cast<double>(sent < 0 ? -errno : sent));
}

// Takes every descriptor that came, so that none can leak.
std::vector<UniqueFd> TakeFds(msghdr* message) {
  std::vector<UniqueFd> taken;
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      taken.emplace_back(fd);
    }
  }
  return taken;
}

// receiveFds(fd, buffer: Uint8Array) -> { bytes, fds: OwnedFd[], truncated } | -errno.
// `bytes` is 0 at the end of the stream. There is room for all descriptors that can come:
// surplus ones the kernel would close here and now, and wait with close(2).
Napi::Value ReceiveFds(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!IsTypedArray(info[1], napi_uint8_array)) {
    ThrowMisuse(env, "receiveFds(fd, Uint8Array)");
    return env.Undefined();
  }
  Napi::Uint8Array buffer = info[1].As<Napi::Uint8Array>();
  std::vector<uint8_t> control = ControlFor(kMaxFds);
  iovec io = {buffer.Data(), buffer.ByteLength()};
  msghdr message = MessageOf(&io, control);
  ssize_t received;
  do {
    received = recvmsg(ToInt(info[0]), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return Napi::Number::New(env, -errno);

  std::vector<UniqueFd> fds = TakeFds(&message);
  Napi::Array handed = Napi::Array::New(env);
  for (uint32_t i = 0; i < fds.size(); i++) {
    handed.Set(i, OwnedFd::New(env, std::move(fds[i]), ClosedWhere::kElsewhere));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", Napi::Number::New(env, static_cast<double>(received)));
  result.Set("fds", handed);
  // Only for want of descriptors here.
  result.Set("truncated", Napi::Boolean::New(env, (message.msg_flags & MSG_CTRUNC) != 0));
  return result;
}

// closeElsewhere(fds: OwnedFd[]) -> OwnedFd | -errno: closes them on another thread, in
// this order. What it returns can be read, to its end, once that is done.
Napi::Value CloseAllElsewhere(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsArray()) {
    ThrowMisuse(env, "closeElsewhere(OwnedFd[])");
    return env.Undefined();
  }
  Napi::Array owned = info[0].As<Napi::Array>();
  std::vector<UniqueFd> fds;
  for (uint32_t i = 0; i < owned.Length(); i++) {
    Napi::Value element;
    OwnedFd* fd = owned.Get(i).UnwrapTo(&element) ? OwnedFd::From(element) : nullptr;
    if (fd != nullptr) fds.push_back(fd->Take());
  }
  int ends[2] = {-1, -1};
  int error = pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
  UniqueFd done(ends[0]);
  fds.emplace_back(ends[1]);
  CloseElsewhere(std::move(fds));
  if (error != 0) return Napi::Number::New(env, -error);
  return OwnedFd::New(env, std::move(done));
}

// peerCredentials(fd) -> { pid, uid, gid } at the time of connect(2) | -errno
Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(ToInt(info[0]), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
    return Napi::Number::New(env, -errno);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  result.Set("gid", Napi::Number::New(env, peer.gid));
  return result;
}

}  // namespace

void DefineFdPassing(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "sendFds", SendFds, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "receiveFds", ReceiveFds, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "closeElsewhere", CloseAllElsewhere,
                                         napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "peerCredentials", PeerCredentials,
                                         napi_enumerable),
  });
}

}  // namespace devmem
