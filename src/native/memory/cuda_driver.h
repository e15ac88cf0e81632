// CUDA's driver API, found at run time: one binary serves machines with and
// without it, and is built with neither. Only what this package calls is declared;
// the names are NVIDIA's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace devmem {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct CUctx_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUjit_option = int;
struct CUuuid {
  unsigned char bytes[16];
};
struct CUipcMemHandle {
  unsigned char reserved[64];
};

constexpr CUresult CUDA_SUCCESS = 0;
constexpr CUresult CUDA_ERROR_INVALID_VALUE = 1;
constexpr CUresult CUDA_ERROR_NOT_INITIALIZED = 3;
constexpr CUresult CUDA_ERROR_OPERATING_SYSTEM = 304;
constexpr unsigned int CU_STREAM_NON_BLOCKING = 1;
constexpr unsigned int CU_EVENT_BLOCKING_SYNC = 1;
constexpr unsigned int CU_EVENT_DISABLE_TIMING = 2;
constexpr unsigned int CU_MEMHOSTALLOC_PORTABLE = 1;
constexpr unsigned int CU_MEMHOSTALLOC_DEVICEMAP = 2;
constexpr unsigned int CU_MEMHOSTREGISTER_PORTABLE = 1;
constexpr unsigned int CU_MEMHOSTREGISTER_DEVICEMAP = 2;
constexpr int CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD = 1;
constexpr int CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX = 0;
constexpr int CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER = 100;

struct CudaDriver {
  // Null with `reason` set where there is no library, or one that lacks a call.
  // The library stays loaded: it has threads and exit handlers of its own.
  static std::shared_ptr<const CudaDriver> Load(std::string* reason);

  CUresult (*cuInit)(unsigned int flags);
  CUresult (*cuDriverGetVersion)(int* version);
  CUresult (*cuGetErrorName)(CUresult error, const char** name);
  CUresult (*cuGetErrorString)(CUresult error, const char** text);
  CUresult (*cuDeviceGetCount)(int* count);
  CUresult (*cuDeviceGet)(CUdevice* device, int ordinal);
  CUresult (*cuDeviceGetName)(char* name, int length, CUdevice device);
  CUresult (*cuDeviceGetPCIBusId)(char* address, int length, CUdevice device);
  CUresult (*cuDeviceGetUuid)(CUuuid* uuid, CUdevice device);
  CUresult (*cuDeviceTotalMem)(size_t* bytes, CUdevice device);
  CUresult (*cuDeviceGetAttribute)(int* value, int attribute, CUdevice device);
  CUresult (*cuDevicePrimaryCtxRetain)(CUcontext* context, CUdevice device);
  CUresult (*cuDevicePrimaryCtxRelease)(CUdevice device);
  CUresult (*cuCtxGetCurrent)(CUcontext* context);
  CUresult (*cuCtxSetCurrent)(CUcontext context);
  CUresult (*cuMemAlloc)(CUdeviceptr* address, size_t size);
  CUresult (*cuMemFree)(CUdeviceptr address);
  CUresult (*cuMemcpyDtoH)(void* target, CUdeviceptr source, size_t size);
  CUresult (*cuMemcpyHtoD)(CUdeviceptr target, const void* source, size_t size);
  CUresult (*cuMemGetHandleForAddressRange)(void* handle, CUdeviceptr address, size_t size,
                                            int type, unsigned long long flags);
  CUresult (*cuFlushGPUDirectRDMAWrites)(int target, int scope);
  CUresult (*cuIpcGetMemHandle)(CUipcMemHandle* handle, CUdeviceptr address);
  CUresult (*cuMemHostAlloc)(void** memory, size_t size, unsigned int flags);
  CUresult (*cuMemFreeHost)(void* memory);
  CUresult (*cuMemHostGetDevicePointer)(CUdeviceptr* address, void* memory, unsigned int flags);
  CUresult (*cuMemHostRegister)(void* memory, size_t size, unsigned int flags);
  CUresult (*cuMemHostUnregister)(void* memory);
  CUresult (*cuMemcpyHtoDAsync)(CUdeviceptr target, const void* source, size_t size,
                                CUstream stream);
  CUresult (*cuStreamCreate)(CUstream* stream, unsigned int flags);
  CUresult (*cuStreamDestroy)(CUstream stream);
  CUresult (*cuStreamSynchronize)(CUstream stream);
  CUresult (*cuEventCreate)(CUevent* event, unsigned int flags);
  CUresult (*cuEventDestroy)(CUevent event);
  CUresult (*cuEventRecord)(CUevent event, CUstream stream);
  CUresult (*cuEventSynchronize)(CUevent event);
  CUresult (*cuModuleLoadDataEx)(CUmodule* module, const void* image, unsigned int count,
                                 CUjit_option* options, void** values);
  CUresult (*cuModuleUnload)(CUmodule module);
  CUresult (*cuModuleGetFunction)(CUfunction* function, CUmodule module, const char* name);
  CUresult (*cuLaunchKernel)(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                             unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                             unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                             void** parameters, void** extra);
};

}  // namespace devmem
