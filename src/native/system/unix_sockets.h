// Unix-domain stream sockets that listen: made, taken over and accepted from.
#pragma once

#include <napi.h>

namespace devmem {

void DefineUnixSockets(Napi::Env env, Napi::Object exports);

}  // namespace devmem
