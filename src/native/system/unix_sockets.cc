#include "system/unix_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "support/fd_result.h"
#include "support/owned_fd.h"
#include "support/unique_fd.h"
#include "support/values.h"

namespace devmem {

namespace {

// False with errno set where the path does not fit.
bool AddressOf(const Napi::Value& value, sockaddr_un* address) {
  errno = EINVAL;
  if (!value.IsString()) return false;
  std::string path = value.As<Napi::String>().Utf8Value();
  errno = ENAMETOOLONG;
  if (path.empty() || path.size() >= sizeof address->sun_path) return false;
  *address = {};
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, path.data(), path.size());
  return true;
}

template <typename T>
bool SocketOption(int fd, int option, T* value) {
  socklen_t size = sizeof *value;
  return getsockopt(fd, SOL_SOCKET, option, value, &size) == 0;
}

// bindUnix(path) -> OwnedFd of a stream socket that does not listen yet, closed on another
// thread: with it go the connections that nobody accepted, and what they carry | -errno
Napi::Value BindUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address;
  if (!AddressOf(info[0], &address)) return Napi::Number::New(env, -errno);
  FdResult made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.fd.valid()) return made.ToValue(env);
  if (bind(made.fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return Napi::Number::New(env, -errno);
  }
  return OwnedFd::New(env, std::move(made.fd), ClosedWhere::kElsewhere);
}

// listenUnix(fd, backlog) -> 0 | -errno
Napi::Value ListenUnix(const Napi::CallbackInfo& info) {
  int status = listen(ToInt(info[0]), ToInt(info[1]));
  return Napi::Number::New(info.Env(), status < 0 ? -errno : 0);
}

// acceptUnix(fd) -> OwnedFd, closed on another thread | -errno (EAGAIN: nobody waits)
Napi::Value AcceptUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd;
  do {
    fd = accept4(ToInt(info[0]), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return Napi::Number::New(env, -errno);
  return OwnedFd::New(env, UniqueFd(fd), ClosedWhere::kElsewhere);
}

// duplicateNumber(fd) -> a descriptor that the caller has to close | -errno
Napi::Value DuplicateNumber(const Napi::CallbackInfo& info) {
  int fd = fcntl(ToInt(info[0]), F_DUPFD_CLOEXEC, 3);
  return Napi::Number::New(info.Env(), fd < 0 ? -errno : fd);
}

// takeListening(fd) -> OwnedFd, a duplicate that does not block | -errno: EINVAL unless it
// is a Unix-domain stream socket that listens. Closed as what bindUnix makes.
Napi::Value TakeListening(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  FdResult taken(fcntl(ToInt(info[0]), F_DUPFD_CLOEXEC, 3));
  if (!taken.fd.valid()) return taken.ToValue(env);
  int fd = taken.fd.get();
  int domain = 0, type = 0, listens = 0;
  if (!SocketOption(fd, SO_DOMAIN, &domain) || !SocketOption(fd, SO_TYPE, &type) ||
      !SocketOption(fd, SO_ACCEPTCONN, &listens)) {
    return Napi::Number::New(env, -errno);
  }
  if (domain != AF_UNIX || type != SOCK_STREAM || listens == 0) {
    return Napi::Number::New(env, -EINVAL);
  }
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return Napi::Number::New(env, -errno);
  }
  return OwnedFd::New(env, std::move(taken.fd), ClosedWhere::kElsewhere);
}

// unixPath(fd) -> the path that a socket is bound to, '' where it has none | -errno
Napi::Value UnixPath(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address = {};
  // The kernel ends it with a zero only where there is room.
  socklen_t size = sizeof address - 1;
  if (getsockname(ToInt(info[0]), reinterpret_cast<sockaddr*>(&address), &size) < 0) {
    return Napi::Number::New(env, -errno);
  }
  return Napi::String::New(env, address.sun_family == AF_UNIX ? address.sun_path : "");
}

// connectDatagram(path) -> 0 | -errno. On a socket's file: ECONNREFUSED where no socket is
// bound to it (any more), EPROTOTYPE where one of another type is, listening or not; so
// that nothing happens to it (net/unix/af_unix.c unix_find_bsd).
Napi::Value ConnectDatagram(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address;
  if (!AddressOf(info[0], &address)) return Napi::Number::New(env, -errno);
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Napi::Number::New(env, -errno);
  int status = connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  return Napi::Number::New(env, status < 0 ? -errno : 0);
}

struct Export {
  const char* name;
  Napi::Value (*call)(const Napi::CallbackInfo& info);
};

constexpr Export kExports[] = {
    {"bindUnix", BindUnix},
    {"listenUnix", ListenUnix},
    {"acceptUnix", AcceptUnix},
    {"duplicateNumber", DuplicateNumber},
    {"takeListening", TakeListening},
    {"unixPath", UnixPath},
    {"connectDatagram", ConnectDatagram},
};

}  // namespace

void DefineUnixSockets(Napi::Env env, Napi::Object exports) {
  for (const Export& each : kExports) {
    exports.DefineProperty(
        Napi::PropertyDescriptor::Function(env, exports, each.name, each.call, napi_enumerable));
  }
}

}  // namespace devmem
