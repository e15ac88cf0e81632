#include "memory/memory.h"

#include "memory/cuda.h"
#include "memory/memory_claim.h"

namespace devmem {

namespace {

struct Export {
  const char* name;
  Napi::Value (*call)(const Napi::CallbackInfo& info);
};

constexpr Export kExports[] = {
    {"open", Open},
    {"duplicateFd", DuplicateFd},
    {"fileSize", FileSize},
    {"fileSystemType", FileSystemType},
    {"fileFlags", FileFlags},
    {"mapFd", MapFd},
    {"memfdCreate", MemfdCreate},
    {"memfdSeals", MemfdSeals},
    {"allocatePages", AllocatePages},
    {"udmabufCreate", UdmabufCreate},
    {"dmaHeapAllocate", DmaHeapAllocate},
    {"dmaBufSync", DmaBufSync},
};

}  // namespace

void DefineMemory(Napi::Env env, Napi::Object exports) {
  for (const Export& each : kExports) {
    exports.DefineProperty(
        Napi::PropertyDescriptor::Function(env, exports, each.name, each.call, napi_enumerable));
  }
  exports.DefineProperties({
      Napi::PropertyDescriptor::Value("Cuda", Cuda::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("CudaMemory", CudaMemory::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("MemoryClaim", MemoryClaim::Define(env), napi_enumerable),
  });
}

}  // namespace devmem
