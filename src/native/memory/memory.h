// Memory that the kernel can receive into: the system calls, one each.
#pragma once

#include <napi.h>

namespace devmem {

void DefineMemory(Napi::Env env, Napi::Object exports);

}  // namespace devmem
