#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "memory/memory.h"
#include "support/async_call.h"
#include "support/fd_result.h"
#include "support/values.h"

namespace devmem {

// memfdCreate(name, size, flags) -> OwnedFd | -errno; flags besides MFD_CLOEXEC and
// MFD_ALLOW_SEALING. Sealed against shrinking, which udmabuf demands and which
// keeps a mapping of it from ever faulting; and, since other processes may get it,
// against growing at this one's cost, and against more seals, which could keep this
// one from writing.
Napi::Value MemfdCreate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString()) return Napi::Number::New(env, -EINVAL);
  std::string name = info[0].As<Napi::String>().Utf8Value();
  FdResult created(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | ToUint(info[2])));
  if (!created.fd.valid()) return created.ToValue(env);
  int fd = created.fd.get();
  if (ftruncate(fd, static_cast<off_t>(ToDouble(info[1]))) < 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    return Napi::Number::New(env, -errno);
  }
  return created.ToValue(env);
}

// memfdSeals(fd) -> F_SEAL_* | -errno: EINVAL of a file that lies in no shared memory,
// whose file system is not asked.
Napi::Value MemfdSeals(const Napi::CallbackInfo& info) {
  OwnedFd* fd = OwnedFd::From(info[0]);
  int seals = fcntl(fd == nullptr ? -1 : fd->get(), F_GET_SEALS);
  return Napi::Number::New(info.Env(), seals < 0 ? -errno : seals);
}

// allocatePages(fd, size) -> Promise<0 | -errno>: gives a file its pages now.
Napi::Value AllocatePages(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  // A duplicate: the object may be closed while the call runs.
  auto own = std::make_shared<UniqueFd>(fd == nullptr ? UniqueFd() : fd->Duplicate());
  auto size = static_cast<off_t>(ToDouble(info[1]));
  auto allocate = [own, size]() {
    int status;
    do {
      status = fallocate(own->get(), 0, 0, size);
    } while (status < 0 && errno == EINTR);
    return status < 0 ? errno : 0;
  };
  return CallAsync(env, "devmem-tcp:fallocate", allocate,
                   [](Napi::Env env, int error) { return Napi::Number::New(env, -error); });
}

}  // namespace devmem
