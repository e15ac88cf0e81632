#include "memory/cuda_driver.h"

#include <dlfcn.h>

namespace devmem {

namespace {

using GetProcAddress = CUresult (*)(const char* symbol, void** function, int version,
                                    uint64_t flags, int* status);

struct Symbol {
  const char* name;
  // The version of CUDA (1000 * major + 10 * minor) whose prototype is declared here:
  // a later driver may have another under the same name.
  int version;
  void** slot;
};

template <typename Function>
void** Slot(Function** function) {
  return reinterpret_cast<void**>(function);
}

std::string Describe(const Symbol& symbol, CUresult result) {
  return std::string("cuGetProcAddress_v2 of ") + symbol.name + " for CUDA " +
         std::to_string(symbol.version / 1000) + "." + std::to_string(symbol.version % 1000 / 10) +
         " failed with error " + std::to_string(result);
}

}  // namespace

std::shared_ptr<const CudaDriver> CudaDriver::Load(std::string* reason) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    *reason = dlerror();
    return nullptr;
  }
  auto get = reinterpret_cast<GetProcAddress>(dlsym(library, "cuGetProcAddress_v2"));
  if (get == nullptr) {
    *reason = "libcuda.so.1 has no cuGetProcAddress_v2, which CUDA 12.0 brought";
    return nullptr;
  }
  auto driver = std::make_shared<CudaDriver>();
  const Symbol symbols[] = {
      {"cuInit", 2000, Slot(&driver->cuInit)},
      {"cuDriverGetVersion", 2020, Slot(&driver->cuDriverGetVersion)},
      {"cuGetErrorName", 6000, Slot(&driver->cuGetErrorName)},
      {"cuGetErrorString", 6000, Slot(&driver->cuGetErrorString)},
      {"cuDeviceGetCount", 2000, Slot(&driver->cuDeviceGetCount)},
      {"cuDeviceGet", 2000, Slot(&driver->cuDeviceGet)},
      {"cuDeviceGetName", 2000, Slot(&driver->cuDeviceGetName)},
      {"cuDeviceGetPCIBusId", 4010, Slot(&driver->cuDeviceGetPCIBusId)},
      {"cuDeviceGetUuid", 11040, Slot(&driver->cuDeviceGetUuid)},
      {"cuDeviceTotalMem", 3020, Slot(&driver->cuDeviceTotalMem)},
      {"cuDeviceGetAttribute", 2000, Slot(&driver->cuDeviceGetAttribute)},
      {"cuDevicePrimaryCtxRetain", 7000, Slot(&driver->cuDevicePrimaryCtxRetain)},
      {"cuDevicePrimaryCtxRelease", 11000, Slot(&driver->cuDevicePrimaryCtxRelease)},
      {"cuCtxGetCurrent", 4000, Slot(&driver->cuCtxGetCurrent)},
      {"cuCtxSetCurrent", 4000, Slot(&driver->cuCtxSetCurrent)},
      {"cuMemAlloc", 3020, Slot(&driver->cuMemAlloc)},
      {"cuMemFree", 3020, Slot(&driver->cuMemFree)},
      {"cuMemcpyDtoH", 3020, Slot(&driver->cuMemcpyDtoH)},
      {"cuMemcpyHtoD", 3020, Slot(&driver->cuMemcpyHtoD)},
      {"cuMemGetHandleForAddressRange", 11070, Slot(&driver->cuMemGetHandleForAddressRange)},
      {"cuFlushGPUDirectRDMAWrites", 11030, Slot(&driver->cuFlushGPUDirectRDMAWrites)},
      {"cuIpcGetMemHandle", 4010, Slot(&driver->cuIpcGetMemHandle)},
      {"cuMemHostAlloc", 2020, Slot(&driver->cuMemHostAlloc)},
      {"cuMemFreeHost", 2000, Slot(&driver->cuMemFreeHost)},
      {"cuMemHostGetDevicePointer", 3020, Slot(&driver->cuMemHostGetDevicePointer)},
      {"cuMemHostRegister", 6050, Slot(&driver->cuMemHostRegister)},
      {"cuMemHostUnregister", 4000, Slot(&driver->cuMemHostUnregister)},
      {"cuMemcpyHtoDAsync", 3020, Slot(&driver->cuMemcpyHtoDAsync)},
      {"cuStreamCreate", 2000, Slot(&driver->cuStreamCreate)},
      {"cuStreamDestroy", 4000, Slot(&driver->cuStreamDestroy)},
      {"cuStreamSynchronize", 2000, Slot(&driver->cuStreamSynchronize)},
      {"cuEventCreate", 2000, Slot(&driver->cuEventCreate)},
      {"cuEventDestroy", 4000, Slot(&driver->cuEventDestroy)},
      {"cuEventRecord", 2000, Slot(&driver->cuEventRecord)},
      {"cuEventSynchronize", 2000, Slot(&driver->cuEventSynchronize)},
      {"cuModuleLoadDataEx", 2010, Slot(&driver->cuModuleLoadDataEx)},
      {"cuModuleUnload", 2000, Slot(&driver->cuModuleUnload)},
      {"cuModuleGetFunction", 2000, Slot(&driver->cuModuleGetFunction)},
      {"cuLaunchKernel", 4000, Slot(&driver->cuLaunchKernel)},
  };
  for (const Symbol& symbol : symbols) {
    *symbol.slot = nullptr;
    CUresult result = get(symbol.name, symbol.slot, symbol.version, 0, nullptr);
    if (result != CUDA_SUCCESS || *symbol.slot == nullptr) {
      *reason = Describe(symbol, result);
      return nullptr;
    }
  }
  return driver;
}

}  // namespace devmem
