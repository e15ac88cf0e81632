// Options of TCP sockets: the system calls, one each.
#pragma once

#include <napi.h>

namespace devmem {

void DefineSockets(Napi::Env env, Napi::Object exports);

}  // namespace devmem
