// Memory that the kernel can receive into: the system calls, one each, in a file
// for each kind of memory. src/ts/native.ts declares them.
#pragma once

#include <napi.h>

namespace devmem {

void DefineMemory(Napi::Env env, Napi::Object exports);

// files.cc
Napi::Value Open(const Napi::CallbackInfo& info);
Napi::Value DuplicateFd(const Napi::CallbackInfo& info);
Napi::Value FileSize(const Napi::CallbackInfo& info);
Napi::Value FileSystemType(const Napi::CallbackInfo& info);
Napi::Value FileFlags(const Napi::CallbackInfo& info);
Napi::Value MapFd(const Napi::CallbackInfo& info);

// memfd.cc
Napi::Value MemfdCreate(const Napi::CallbackInfo& info);
Napi::Value MemfdSeals(const Napi::CallbackInfo& info);
Napi::Value AllocatePages(const Napi::CallbackInfo& info);

// dma_buf.cc
Napi::Value UdmabufCreate(const Napi::CallbackInfo& info);
Napi::Value DmaHeapAllocate(const Napi::CallbackInfo& info);
Napi::Value DmaBufSync(const Napi::CallbackInfo& info);

}  // namespace devmem
