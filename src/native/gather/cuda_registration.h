// Host memory that a GPU reads and writes by itself: a mapping, registered with CUDA. It
// is the mapping of a file's pages; that of a dma-buf has none that CUDA could pin.
#pragma once

#include <napi.h>

#include <memory>

#include "gather/cuda_engine.h"
#include "memory/cuda_owned.h"
#include "memory/mapping.h"
#include "support/wrapped.h"

namespace devmem {

// Stays registered, and mapped, until nobody has it any more. Has no JavaScript.
class RegisteredRegion {
 public:
  RegisteredRegion(std::shared_ptr<CudaContext> context, std::shared_ptr<MappedRegion> region)
      : context_(std::move(context)), region_(std::move(region)) {}

  // Once; pins all pages, which takes its time.
  CudaFailure Register();
  CUdeviceptr address() const { return address_; }
  size_t size() const { return region_->size(); }
  void Abandon() { context_->Abandon(); }

 private:
  std::shared_ptr<CudaContext> context_;
  std::shared_ptr<MappedRegion> region_;
  CudaRegistered registered_;
  CUdeviceptr address_ = 0;
};

class CudaRegistration : public Wrapped<CudaRegistration> {
 public:
  static Napi::Function Define(Napi::Env env);
  static CudaRegistration* From(const Napi::Value& value);

  explicit CudaRegistration(const Napi::CallbackInfo& info);
  ~CudaRegistration() override;

  // Null before register() and after close().
  const std::shared_ptr<RegisteredRegion>& region() const { return region_; }

 private:
  Napi::Value Register(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  static void AtTeardown(void* self);

  Napi::Env env_;
  std::shared_ptr<RegisteredRegion> region_;
  bool ends_with_process_ = false;
};

}  // namespace devmem
