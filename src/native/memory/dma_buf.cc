#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <memory>

#include "memory/memory.h"
#include "support/async_call.h"
#include "support/fd_result.h"
#include "support/values.h"

namespace devmem {

namespace {

// A duplicate for another thread, for the object may be closed while that runs.
std::shared_ptr<UniqueFd> Share(const Napi::Value& value) {
  OwnedFd* fd = OwnedFd::From(value);
  return std::make_shared<UniqueFd>(fd == nullptr ? UniqueFd() : fd->Duplicate());
}

Napi::Value Finish(Napi::Env env, FdResult result) {
  return result.ToValue(env);
}

}  // namespace

// udmabufCreate(device, memfd, size) -> Promise<OwnedFd of the dma-buf | -errno>
Napi::Value UdmabufCreate(const Napi::CallbackInfo& info) {
  auto device = Share(info[0]);
  auto memfd = Share(info[1]);
  auto size = static_cast<uint64_t>(ToDouble(info[2]));
  auto create = [device, memfd, size]() {
    udmabuf_create request = {};
    request.memfd = static_cast<uint32_t>(memfd->get());
    request.flags = UDMABUF_FLAGS_CLOEXEC;
    request.offset = 0;
    request.size = size;
    return FdResult(ioctl(device->get(), UDMABUF_CREATE, &request));
  };
  return CallAsync(info.Env(), "devmem-tcp:udmabuf", create, Finish);
}

// dmaHeapAllocate(heap, size) -> Promise<OwnedFd of the dma-buf | -errno>
Napi::Value DmaHeapAllocate(const Napi::CallbackInfo& info) {
  auto heap = Share(info[0]);
  auto size = static_cast<uint64_t>(ToDouble(info[1]));
  auto allocate = [heap, size]() {
    dma_heap_allocation_data request = {};
    request.len = size;
    request.fd_flags = O_RDWR | O_CLOEXEC;
    int status;
    do {
      status = ioctl(heap->get(), DMA_HEAP_IOCTL_ALLOC, &request);
    } while (status < 0 && errno == EINTR);
    return FdResult(status < 0 ? status : static_cast<int>(request.fd));
  };
  return CallAsync(info.Env(), "devmem-tcp:dma-heap", allocate, Finish);
}

// dmaBufSync(fd, flags) -> 0 | -errno; brackets CPU access to a dma-buf.
Napi::Value DmaBufSync(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  OwnedFd* fd = OwnedFd::From(info[0]);
  if (fd == nullptr) return Napi::Number::New(env, -EBADF);
  dma_buf_sync sync = {};
  sync.flags = ToUint(info[1]);
  int status;
  do {
    status = ioctl(fd->get(), DMA_BUF_IOCTL_SYNC, &sync);
  } while (status < 0 && (errno == EINTR || errno == EAGAIN));
  return Napi::Number::New(env, status < 0 ? -errno : 0);
}

}  // namespace devmem
