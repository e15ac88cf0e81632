#include "gather/cuda_registration.h"

#include "gather/cuda_values.h"
#include "memory/cuda.h"
#include "support/async_call.h"
#include "support/values.h"

namespace devmem {

namespace {

constexpr napi_type_tag kTag = {0x7265676973746572, 0x2b8e01c96f5da473};

}  // namespace

CudaFailure RegisteredRegion::Register() {
  constexpr unsigned kFlags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP;
  CudaFailure failure = context_->Retain();
  if (failure) return failure;
  const CudaDriver& driver = context_->driver();
  CurrentContext current(driver, context_->handle());
  if (current.failure()) return current.failure();
  CUresult result = driver.cuMemHostRegister(region_->data(), region_->size(), kFlags);
  if (result != CUDA_SUCCESS) return {"cuMemHostRegister", result};
  registered_.Own(context_, region_->data());
  result = driver.cuMemHostGetDevicePointer(&address_, region_->data(), 0);
  return {"cuMemHostGetDevicePointer", result};
}

Napi::Function CudaRegistration::Define(Napi::Env env) {
  return DefineClass(env, "CudaRegistration",
                     {InstanceMethod<&CudaRegistration::Register>("register"),
                      InstanceMethod<&CudaRegistration::Close>("close")});
}

// new CudaRegistration(cuda, device, mapping, endsWithProcess)
CudaRegistration::CudaRegistration(const Napi::CallbackInfo& info)
    : Wrapped<CudaRegistration>(info), env_(info.Env()) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
  napi_add_env_cleanup_hook(env_, AtTeardown, this);
  Cuda* cuda = Cuda::From(info[0]);
  Mapping* mapping = Mapping::From(info[2]);
  if (cuda == nullptr || mapping == nullptr) {
    ThrowMisuse(env_,
                "new CudaRegistration(cuda that was loaded, device, mapping, endsWithProcess)");
    return;
  }
  auto context = std::make_shared<CudaContext>(cuda->driver(), ToInt(info[1]));
  region_ = std::make_shared<RegisteredRegion>(std::move(context), mapping->region());
  ends_with_process_ = ToBool(info[3]);
}

CudaRegistration::~CudaRegistration() {
  napi_remove_env_cleanup_hook(env_, AtTeardown, this);
}

void CudaRegistration::AtTeardown(void* self) {
  auto* registration = static_cast<CudaRegistration*>(self);
  if (registration->region_ == nullptr) return;
  if (registration->ends_with_process_) registration->region_->Abandon();
  registration->region_.reset();
}

CudaRegistration* CudaRegistration::From(const Napi::Value& value) {
  CudaRegistration* registration = Unwrapped<CudaRegistration>(value, kTag);
  return registration != nullptr && registration->region_ != nullptr ? registration : nullptr;
}

// register() -> Promise<undefined | CudaFailure>
Napi::Value CudaRegistration::Register(const Napi::CallbackInfo& info) {
  auto region = region_;
  auto work = [region]() { return region == nullptr ? kCudaClosed : region->Register(); };
  return CallAsync(info.Env(), "devmem-tcp:cuMemHostRegister", work, ToValue);
}

void CudaRegistration::Close(const Napi::CallbackInfo&) {
  region_.reset();
}

}  // namespace devmem
