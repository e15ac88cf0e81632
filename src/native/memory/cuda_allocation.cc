#include "memory/cuda_allocation.h"

#include <fcntl.h>

#include "memory/cuda_context.h"

namespace devmem {

CudaAllocation::~CudaAllocation() {
  if (abandoned_) return;
  fd_.Reset();
  if (address_ != 0) {
    CurrentContext current(*driver_, context_);
    driver_->cuMemFree(address_);
  }
  if (context_ != nullptr) driver_->cuDevicePrimaryCtxRelease(device_);
}

CUresult CudaAllocation::Retain() {
  CUresult result = driver_->cuDeviceGet(&device_, ordinal_);
  if (result != CUDA_SUCCESS) return result;
  return driver_->cuDevicePrimaryCtxRetain(&context_, device_);
}

CUresult CudaAllocation::Allocate(size_t size) {
  CurrentContext current(*driver_, context_);
  if (current.result() != CUDA_SUCCESS) return current.result();
  CUresult result = driver_->cuMemAlloc(&address_, size);
  if (result == CUDA_SUCCESS) size_ = size;
  return result;
}

CUresult CudaAllocation::Export(unsigned long long flags) {
  CurrentContext current(*driver_, context_);
  if (current.result() != CUDA_SUCCESS) return current.result();
  int fd = -1;
  CUresult result = driver_->cuMemGetHandleForAddressRange(
      &fd, address_, size_, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, flags);
  if (result != CUDA_SUCCESS) return result;
  fd_.Reset(fd);
  // Not for the programs that this process starts: they would keep the memory.
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return CUDA_SUCCESS;
}

CUresult CudaAllocation::Read(size_t offset, void* target, size_t size) {
  CurrentContext current(*driver_, context_);
  if (current.result() != CUDA_SUCCESS) return current.result();
  return driver_->cuMemcpyDtoH(target, address_ + offset, size);
}

CUresult CudaAllocation::Write(size_t offset, const void* source, size_t size) {
  CurrentContext current(*driver_, context_);
  if (current.result() != CUDA_SUCCESS) return current.result();
  return driver_->cuMemcpyHtoD(address_ + offset, source, size);
}

CUresult CudaAllocation::Flush() {
  CurrentContext current(*driver_, context_);
  if (current.result() != CUDA_SUCCESS) return current.result();
  return driver_->cuFlushGPUDirectRDMAWrites(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX,
                                             CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER);
}

CUresult CudaAllocation::GetIpcHandle(CUipcMemHandle* handle) {
  CurrentContext current(*driver_, context_);
  if (current.result() != CUDA_SUCCESS) return current.result();
  return driver_->cuIpcGetMemHandle(handle, address_);
}

}  // namespace devmem
