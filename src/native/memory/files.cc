#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "memory/mapping.h"
#include "memory/memory.h"
#include "support/fd_result.h"
#include "support/values.h"

namespace devmem {

// open(path) -> OwnedFd | -errno
Napi::Value Open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString()) return Napi::Number::New(env, -EINVAL);
  std::string path = info[0].As<Napi::String>().Utf8Value();
  return FdResult(open(path.c_str(), O_RDWR | O_CLOEXEC)).ToValue(env);
}

// duplicateFd(number) -> OwnedFd | -errno
Napi::Value DuplicateFd(const Napi::CallbackInfo& info) {
  return FdResult(fcntl(ToInt(info[0]), F_DUPFD_CLOEXEC, 3)).ToValue(info.Env());
}

// fileSize(fd) -> bytes | -errno, by seeking: the one way for a dma-buf, which
// seeks to its end and its start alone.
Napi::Value FileSize(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  if (fd == nullptr) return Napi::Number::New(env, -EBADF);
  off_t size = lseek(fd->get(), 0, SEEK_END);
  if (size < 0) return Napi::Number::New(env, -errno);
  lseek(fd->get(), 0, SEEK_SET);
  return Napi::Number::New(env, static_cast<double>(size));
}

// fileSystemType(fd) -> magic number of linux/magic.h | -errno
Napi::Value FileSystemType(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  if (fd == nullptr) return Napi::Number::New(env, -EBADF);
  struct statfs system = {};
  int status = fstatfs(fd->get(), &system);
  return Napi::Number::New(env, status < 0 ? -errno : static_cast<double>(system.f_type));
}

// fileFlags(fd) -> O_* as the file was opened | -errno
Napi::Value FileFlags(const Napi::CallbackInfo& info) {
  OwnedFd* fd = OwnedFd::From(info[0]);
  int flags = fcntl(fd == nullptr ? -1 : fd->get(), F_GETFL);
  return Napi::Number::New(info.Env(), flags < 0 ? -errno : flags);
}

// mapFd(fd, size) -> Mapping | -errno
Napi::Value MapFd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  if (fd == nullptr) return Napi::Number::New(env, -EBADF);
  auto region = MappedRegion::Map(fd->get(), static_cast<size_t>(ToDouble(info[1])));
  if (region == nullptr) return Napi::Number::New(env, -errno);
  return Mapping::New(env, std::move(region));
}

}  // namespace devmem
