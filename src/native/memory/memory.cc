#include "memory/memory.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "memory/mapping.h"
#include "support/owned_fd.h"
#include "support/values.h"

namespace devmem {

namespace {

Napi::Value Error(Napi::Env env, int error) {
  return Napi::Number::New(env, -error);
}

// memfdCreate(name, size) -> OwnedFd | -errno
// Sealed against shrinking, which udmabuf demands and which keeps a mapping of
// it from ever faulting.
Napi::Value MemfdCreate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString()) return Error(env, EINVAL);
  std::string name = info[0].As<Napi::String>().Utf8Value();
  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return Error(env, errno);
  if (ftruncate(fd.get(), static_cast<off_t>(ToDouble(info[1]))) < 0) return Error(env, errno);
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) < 0) return Error(env, errno);
  return OwnedFd::New(env, std::move(fd));
}

// open(path) -> OwnedFd | -errno
Napi::Value Open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString()) return Error(env, EINVAL);
  std::string path = info[0].As<Napi::String>().Utf8Value();
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return Error(env, errno);
  return OwnedFd::New(env, std::move(fd));
}

// udmabufCreate(device, memfd, size) -> OwnedFd of the dma-buf | -errno
Napi::Value UdmabufCreate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* device = OwnedFd::From(info[0]);
  OwnedFd* memfd = OwnedFd::From(info[1]);
  if (device == nullptr || memfd == nullptr) return Error(env, EBADF);
  udmabuf_create create = {};
  create.memfd = static_cast<uint32_t>(memfd->get());
  create.flags = UDMABUF_FLAGS_CLOEXEC;
  create.offset = 0;
  create.size = static_cast<uint64_t>(ToDouble(info[2]));
  UniqueFd fd(ioctl(device->get(), UDMABUF_CREATE, &create));
  if (!fd.valid()) return Error(env, errno);
  return OwnedFd::New(env, std::move(fd));
}

// dmaBufSync(fd, flags) -> 0 | -errno; brackets CPU access to a dma-buf.
Napi::Value DmaBufSync(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  if (fd == nullptr) return Error(env, EBADF);
  dma_buf_sync sync = {};
  sync.flags = ToUint(info[1]);
  int status;
  do {
    status = ioctl(fd->get(), DMA_BUF_IOCTL_SYNC, &sync);
  } while (status < 0 && (errno == EINTR || errno == EAGAIN));
  return Error(env, status < 0 ? errno : 0);
}

// mapFd(fd, size) -> Mapping | -errno
Napi::Value MapFd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  if (fd == nullptr) return Error(env, EBADF);
  auto region = MappedRegion::Map(fd->get(), static_cast<size_t>(ToDouble(info[1])));
  if (region == nullptr) return Error(env, errno);
  return Mapping::New(env, std::move(region));
}

}  // namespace

void DefineMemory(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "memfdCreate", MemfdCreate, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "open", Open, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "udmabufCreate", UdmabufCreate,
                                         napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "dmaBufSync", DmaBufSync, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "mapFd", MapFd, napi_enumerable),
  });
}

}  // namespace devmem
