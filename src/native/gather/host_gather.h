// Fragments that the CPU can see, copied one behind the other to where a consumer wants
// them.
#pragma once

#include <napi.h>

namespace devmem {

void DefineHostGather(Napi::Env env, Napi::Object exports);

}  // namespace devmem
