// Descriptors over Unix-domain sockets (SCM_RIGHTS), and who is at the other end.
#pragma once

#include <napi.h>

namespace devmem {

void DefineFdPassing(Napi::Env env, Napi::Object exports);

}  // namespace devmem
