// What JavaScript has to know of memory that both sides look at: the addon's word, so
// that TypeScript keeps no second list.
#pragma once

#include <napi.h>

namespace devmem {

// Adds `layout` to the addon's exports.
void DefineLayout(Napi::Env env, Napi::Object exports);

}  // namespace devmem
