// CUDA as JavaScript has it: the driver, and memory of its devices. Functions
// return a negative CUresult where a call fails.
#pragma once

#include <napi.h>

#include <memory>

#include "memory/cuda_allocation.h"
#include "memory/cuda_driver.h"
#include "support/wrapped.h"

namespace devmem {

class Cuda : public Wrapped<Cuda> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Cuda* From(const Napi::Value& value);

  explicit Cuda(const Napi::CallbackInfo& info);
  const std::shared_ptr<const CudaDriver>& driver() const { return driver_; }

 private:
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value Init(const Napi::CallbackInfo& info);
  Napi::Value DriverVersion(const Napi::CallbackInfo& info);
  Napi::Value ErrorText(const Napi::CallbackInfo& info);
  Napi::Value DeviceCount(const Napi::CallbackInfo& info);
  Napi::Value DeviceName(const Napi::CallbackInfo& info);
  Napi::Value DevicePciAddress(const Napi::CallbackInfo& info);
  Napi::Value DeviceUuid(const Napi::CallbackInfo& info);
  Napi::Value DeviceBytes(const Napi::CallbackInfo& info);
  Napi::Value DeviceAttribute(const Napi::CallbackInfo& info);

  // Calls `call(driver, device)` for the device of that number.
  template <typename Call>
  CUresult OnDevice(const Napi::Value& ordinal, Call call);

  std::shared_ptr<const CudaDriver> driver_;
};

class CudaMemory : public Wrapped<CudaMemory> {
 public:
  static Napi::Function Define(Napi::Env env);
  static CudaMemory* From(const Napi::Value& value);

  explicit CudaMemory(const Napi::CallbackInfo& info);
  ~CudaMemory() override;

  // Null after close().
  const std::shared_ptr<CudaAllocation>& allocation() const { return allocation_; }

 private:
  Napi::Value Retain(const Napi::CallbackInfo& info);
  Napi::Value Allocate(const Napi::CallbackInfo& info);
  Napi::Value Export(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Flush(const Napi::CallbackInfo& info);
  Napi::Value IpcHandle(const Napi::CallbackInfo& info);
  Napi::Value Number(const Napi::CallbackInfo& info);
  Napi::Value Address(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  Napi::Value Copy(const Napi::CallbackInfo& info,
                   CUresult (*copy)(CudaAllocation&, size_t offset, void* bytes, size_t size));
  static void AtTeardown(void* self);

  Napi::Env env_;
  std::shared_ptr<CudaAllocation> allocation_;
  bool ends_with_process_ = false;
};

}  // namespace devmem
