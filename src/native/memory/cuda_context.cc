#include "memory/cuda_context.h"

#include "memory/cuda_live.h"

namespace devmem {

CudaContext::~CudaContext() {
  if (context_ == nullptr) return;
  if (!abandoned_) driver_->cuDevicePrimaryCtxRelease(device_);
  cuda_live.contexts--;
}

CudaFailure CudaContext::Retain() {
  CUresult result = driver_->cuDeviceGet(&device_, ordinal_);
  if (result != CUDA_SUCCESS) return {"cuDeviceGet", result};
  result = driver_->cuDevicePrimaryCtxRetain(&context_, device_);
  if (result != CUDA_SUCCESS) return {"cuDevicePrimaryCtxRetain", result};
  cuda_live.contexts++;
  return {};
}

}  // namespace devmem
