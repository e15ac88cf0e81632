// flock(2), which Node.js lacks.
#pragma once

#include <napi.h>

namespace devmem {

void DefineFileLock(Napi::Env env, Napi::Object exports);

}  // namespace devmem
