// Netlink messages that the kernel sends unasked, to those who joined a group.
#pragma once

#include <napi.h>

namespace devmem {

void DefineNetlinkMonitor(Napi::Env env, Napi::Object exports);

}  // namespace devmem
