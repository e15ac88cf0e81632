#include "memory/cuda.h"

#include <string>

#include "support/async_call.h"
#include "support/values.h"

namespace devmem {

namespace {

constexpr napi_type_tag kTag = {0x6375646164726976, 0x91c26a0e4f7d38b5};
constexpr napi_type_tag kMemoryTag = {0x637564616d656d21, 0x5e07b3c1d8924fa6};
constexpr CUresult kNotLoaded = CUDA_ERROR_NOT_INITIALIZED;
constexpr int kTextLength = 256;

Napi::Value Failure(Napi::Env env, CUresult result) {
  return Napi::Number::New(env, -result);
}

}  // namespace

Napi::Function Cuda::Define(Napi::Env env) {
  return DefineClass(env, "Cuda",
                     {InstanceMethod<&Cuda::Load>("load"), InstanceMethod<&Cuda::Init>("init"),
                      InstanceMethod<&Cuda::DriverVersion>("driverVersion"),
                      InstanceMethod<&Cuda::ErrorText>("errorText"),
                      InstanceMethod<&Cuda::DeviceCount>("deviceCount"),
                      InstanceMethod<&Cuda::DeviceName>("deviceName"),
                      InstanceMethod<&Cuda::DevicePciAddress>("devicePciAddress"),
                      InstanceMethod<&Cuda::DeviceUuid>("deviceUuid"),
                      InstanceMethod<&Cuda::DeviceBytes>("deviceBytes"),
                      InstanceMethod<&Cuda::DeviceAttribute>("deviceAttribute")});
}

Cuda::Cuda(const Napi::CallbackInfo& info) : Wrapped<Cuda>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

Cuda* Cuda::From(const Napi::Value& value) {
  Cuda* cuda = Unwrapped<Cuda>(value, kTag);
  return cuda != nullptr && cuda->driver_ != nullptr ? cuda : nullptr;
}

// load() -> undefined | why the driver cannot be had
Napi::Value Cuda::Load(const Napi::CallbackInfo& info) {
  std::string reason;
  driver_ = CudaDriver::Load(&reason);
  if (driver_ != nullptr) return info.Env().Undefined();
  return Napi::String::New(info.Env(), reason);
}

// init() -> Promise<0 | -CUresult>
Napi::Value Cuda::Init(const Napi::CallbackInfo& info) {
  auto driver = driver_;
  auto init = [driver]() { return driver == nullptr ? kNotLoaded : driver->cuInit(0); };
  return CallAsync(info.Env(), "devmem-tcp:cuInit", init, Failure);
}

// driverVersion() -> 1000 * major + 10 * minor | -CUresult
Napi::Value Cuda::DriverVersion(const Napi::CallbackInfo& info) {
  int version = 0;
  CUresult result = driver_ == nullptr ? kNotLoaded : driver_->cuDriverGetVersion(&version);
  return Napi::Number::New(info.Env(), result == CUDA_SUCCESS ? version : -result);
}

// errorText(result) -> [name, description]; empty where CUDA knows none
Napi::Value Cuda::ErrorText(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver_ != nullptr) {
    driver_->cuGetErrorName(ToInt(info[0]), &name);
    driver_->cuGetErrorString(ToInt(info[0]), &text);
  }
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(0u, Napi::String::New(env, name == nullptr ? "" : name));
  pair.Set(1u, Napi::String::New(env, text == nullptr ? "" : text));
  return pair;
}

Napi::Value Cuda::DeviceCount(const Napi::CallbackInfo& info) {
  int count = 0;
  CUresult result = driver_ == nullptr ? kNotLoaded : driver_->cuDeviceGetCount(&count);
  return Napi::Number::New(info.Env(), result == CUDA_SUCCESS ? count : -result);
}

// deviceName(ordinal) -> string | -CUresult
Napi::Value Cuda::DeviceName(const Napi::CallbackInfo& info) {
  char name[kTextLength] = "";
  CUresult result = OnDevice(info[0], [&](const CudaDriver& driver, CUdevice device) {
    return driver.cuDeviceGetName(name, kTextLength - 1, device);
  });
  if (result != CUDA_SUCCESS) return Failure(info.Env(), result);
  return Napi::String::New(info.Env(), name);
}

// devicePciAddress(ordinal) -> as in sysfs, but for its case | -CUresult
Napi::Value Cuda::DevicePciAddress(const Napi::CallbackInfo& info) {
  char address[kTextLength] = "";
  CUresult result = OnDevice(info[0], [&](const CudaDriver& driver, CUdevice device) {
    return driver.cuDeviceGetPCIBusId(address, kTextLength - 1, device);
  });
  if (result != CUDA_SUCCESS) return Failure(info.Env(), result);
  return Napi::String::New(info.Env(), address);
}

// deviceUuid(ordinal) -> its 16 bytes | -CUresult
Napi::Value Cuda::DeviceUuid(const Napi::CallbackInfo& info) {
  CUuuid uuid = {};
  CUresult result = OnDevice(info[0], [&](const CudaDriver& driver, CUdevice device) {
    return driver.cuDeviceGetUuid(&uuid, device);
  });
  if (result != CUDA_SUCCESS) return Failure(info.Env(), result);
  return Napi::Buffer<unsigned char>::Copy(info.Env(), uuid.bytes, sizeof(uuid.bytes));
}

// deviceBytes(ordinal) -> bytes | -CUresult
Napi::Value Cuda::DeviceBytes(const Napi::CallbackInfo& info) {
  size_t bytes = 0;
  CUresult result = OnDevice(info[0], [&](const CudaDriver& driver, CUdevice device) {
    return driver.cuDeviceTotalMem(&bytes, device);
  });
  if (result != CUDA_SUCCESS) return Failure(info.Env(), result);
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// deviceAttribute(ordinal, attribute) -> value | -CUresult
Napi::Value Cuda::DeviceAttribute(const Napi::CallbackInfo& info) {
  int value = 0;
  CUresult result = OnDevice(info[0], [&](const CudaDriver& driver, CUdevice device) {
    return driver.cuDeviceGetAttribute(&value, ToInt(info[1]), device);
  });
  return Napi::Number::New(info.Env(), result == CUDA_SUCCESS ? value : -result);
}

template <typename Call>
CUresult Cuda::OnDevice(const Napi::Value& ordinal, Call call) {
  if (driver_ == nullptr) return kNotLoaded;
  CUdevice device;
  CUresult result = driver_->cuDeviceGet(&device, ToInt(ordinal));
  return result == CUDA_SUCCESS ? call(*driver_, device) : result;
}

Napi::Function CudaMemory::Define(Napi::Env env) {
  return DefineClass(
      env, "CudaMemory",
      {InstanceMethod<&CudaMemory::Retain>("retain"),
       InstanceMethod<&CudaMemory::Allocate>("allocate"),
       InstanceMethod<&CudaMemory::Export>("export"), InstanceMethod<&CudaMemory::Read>("read"),
       InstanceMethod<&CudaMemory::Write>("write"), InstanceMethod<&CudaMemory::Flush>("flush"),
       InstanceMethod<&CudaMemory::IpcHandle>("ipcHandle"),
       InstanceAccessor<&CudaMemory::Number>("fd"),
       InstanceAccessor<&CudaMemory::Address>("address"),
       InstanceMethod<&CudaMemory::Close>("close")});
}

// new CudaMemory(cuda, device, endsWithProcess)
CudaMemory::CudaMemory(const Napi::CallbackInfo& info)
    : Wrapped<CudaMemory>(info), env_(info.Env()) {
  info.This().As<Napi::Object>().TypeTag(&kMemoryTag);
  Cuda* cuda = Cuda::From(info[0]);
  if (cuda == nullptr) {
    ThrowMisuse(info.Env(), "new CudaMemory(cuda that was loaded, device, endsWithProcess)");
    return;
  }
  allocation_ = std::make_shared<CudaAllocation>(cuda->driver(), ToInt(info[1]));
  ends_with_process_ = info[2].IsBoolean() && info[2].As<Napi::Boolean>().Value();
  napi_add_env_cleanup_hook(env_, AtTeardown, this);
}

CudaMemory* CudaMemory::From(const Napi::Value& value) {
  CudaMemory* memory = Unwrapped<CudaMemory>(value, kMemoryTag);
  return memory != nullptr && memory->allocation_ != nullptr ? memory : nullptr;
}

CudaMemory::~CudaMemory() {
  napi_remove_env_cleanup_hook(env_, AtTeardown, this);
}

void CudaMemory::AtTeardown(void* self) {
  auto* memory = static_cast<CudaMemory*>(self);
  if (memory->allocation_ == nullptr) return;
  if (memory->ends_with_process_) memory->allocation_->Abandon();
  memory->allocation_.reset();
}

// retain() -> Promise<0 | -CUresult>; making a context takes a good part of a second.
Napi::Value CudaMemory::Retain(const Napi::CallbackInfo& info) {
  auto allocation = allocation_;
  auto retain = [allocation]() {
    return allocation == nullptr ? kNotLoaded : allocation->Retain();
  };
  return CallAsync(info.Env(), "devmem-tcp:cuDevicePrimaryCtxRetain", retain, Failure);
}

// allocate(size) -> Promise<0 | -CUresult>
Napi::Value CudaMemory::Allocate(const Napi::CallbackInfo& info) {
  auto allocation = allocation_;
  auto size = static_cast<size_t>(ToDouble(info[0]));
  auto allocate = [allocation, size]() {
    return allocation == nullptr ? kNotLoaded : allocation->Allocate(size);
  };
  return CallAsync(info.Env(), "devmem-tcp:cuMemAlloc", allocate, Failure);
}

// export(flags) -> Promise<0 | -CUresult>; `fd` then is the dma-buf's.
Napi::Value CudaMemory::Export(const Napi::CallbackInfo& info) {
  auto allocation = allocation_;
  uint32_t flags = ToUint(info[0]);
  auto work = [allocation, flags]() {
    return allocation == nullptr ? kNotLoaded : allocation->Export(flags);
  };
  return CallAsync(info.Env(), "devmem-tcp:cuMemGetHandleForAddressRange", work, Failure);
}

// read(offset, target) -> 0 | -CUresult
Napi::Value CudaMemory::Read(const Napi::CallbackInfo& info) {
  return Copy(info, [](CudaAllocation& allocation, size_t offset, void* bytes, size_t size) {
    return allocation.Read(offset, bytes, size);
  });
}

// write(offset, source) -> 0 | -CUresult
Napi::Value CudaMemory::Write(const Napi::CallbackInfo& info) {
  return Copy(info, [](CudaAllocation& allocation, size_t offset, void* bytes, size_t size) {
    return allocation.Write(offset, bytes, size);
  });
}

Napi::Value CudaMemory::Copy(const Napi::CallbackInfo& info,
                             CUresult (*copy)(CudaAllocation&, size_t offset, void* bytes,
                                              size_t size)) {
  Napi::Env env = info.Env();
  if (allocation_ == nullptr) return Failure(env, kNotLoaded);
  double offset = ToDouble(info[0]);
  if (!IsTypedArray(info[1], napi_uint8_array)) return Failure(env, CUDA_ERROR_INVALID_VALUE);
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  size_t length = bytes.ByteLength();
  bool inside = offset >= 0 &&
                offset + static_cast<double>(length) <= static_cast<double>(allocation_->size());
  if (!inside) return Failure(env, CUDA_ERROR_INVALID_VALUE);
  if (length == 0) return Failure(env, CUDA_SUCCESS);
  return Failure(env, copy(*allocation_, static_cast<size_t>(offset), bytes.Data(), length));
}

// flush() -> 0 | -CUresult
Napi::Value CudaMemory::Flush(const Napi::CallbackInfo& info) {
  return Failure(info.Env(), allocation_ == nullptr ? kNotLoaded : allocation_->Flush());
}

// ipcHandle() -> its 64 bytes | -CUresult
Napi::Value CudaMemory::IpcHandle(const Napi::CallbackInfo& info) {
  CUipcMemHandle handle = {};
  CUresult result = allocation_ == nullptr ? kNotLoaded : allocation_->GetIpcHandle(&handle);
  if (result != CUDA_SUCCESS) return Failure(info.Env(), result);
  return Napi::Buffer<unsigned char>::Copy(info.Env(), handle.reserved, sizeof(handle.reserved));
}

// -1 where it was not exported, or was closed.
Napi::Value CudaMemory::Number(const Napi::CallbackInfo& info) {
  if (!IsOwn(info, kMemoryTag)) return {};
  return Napi::Number::New(info.Env(), allocation_ == nullptr ? -1 : allocation_->fd());
}

Napi::Value CudaMemory::Address(const Napi::CallbackInfo& info) {
  if (!IsOwn(info, kMemoryTag)) return {};
  return Napi::BigInt::New(info.Env(), allocation_ == nullptr ? 0 : allocation_->address());
}

void CudaMemory::Close(const Napi::CallbackInfo&) {
  allocation_.reset();
}

}  // namespace devmem
