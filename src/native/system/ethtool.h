// ioctl(SIOCETHTOOL): what ethtool's netlink family cannot do. Commands are made
// and read in TypeScript (src/ts/nic/ioctl); this carries them.
#pragma once

#include <napi.h>

namespace devmem {

void DefineEthtool(Napi::Env env, Napi::Object exports);

}  // namespace devmem
