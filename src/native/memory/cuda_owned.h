// A thing of CUDA's that is destroyed with what owns it, and counted.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "memory/cuda_context.h"
#include "memory/cuda_live.h"

namespace devmem {

// kDestroy: the member of CudaDriver that destroys it; kCount: the one of CudaLive.
template <typename Handle, auto kDestroy, auto kCount>
class CudaOwned {
 public:
  CudaOwned() = default;
  CudaOwned(const CudaOwned&) = delete;
  CudaOwned& operator=(const CudaOwned&) = delete;
  ~CudaOwned() { Reset(); }

  // Once. `amount` is what it counts for.
  void Own(std::shared_ptr<const CudaContext> context, Handle handle, int64_t amount = 1) {
    context_ = std::move(context);
    handle_ = handle;
    amount_ = amount;
    cuda_live.*kCount += amount;
  }

  Handle get() const { return handle_; }

  void Reset() {
    if (context_ == nullptr) return;
    if (!context_->abandoned()) {
      CurrentContext current(context_->driver(), context_->handle());
      (context_->driver().*kDestroy)(handle_);
    }
    cuda_live.*kCount -= amount_;
    context_.reset();
  }

 private:
  std::shared_ptr<const CudaContext> context_;
  Handle handle_ = {};
  int64_t amount_ = 0;
};

using CudaStream = CudaOwned<CUstream, &CudaDriver::cuStreamDestroy, &CudaLive::streams>;
using CudaEvent = CudaOwned<CUevent, &CudaDriver::cuEventDestroy, &CudaLive::events>;
using CudaModule = CudaOwned<CUmodule, &CudaDriver::cuModuleUnload, &CudaLive::modules>;
using CudaPinned = CudaOwned<void*, &CudaDriver::cuMemFreeHost, &CudaLive::pinned_bytes>;
using CudaRegistered = CudaOwned<void*, &CudaDriver::cuMemHostUnregister, &CudaLive::registrations>;

}  // namespace devmem
