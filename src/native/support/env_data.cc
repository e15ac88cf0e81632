#include "support/env_data.h"

#include "receive/frag_ring.h"
#include "receive/scratch.h"

namespace devmem {

EnvData::EnvData(Napi::Env)
    : frag_ring(std::make_unique<FragRing>()), scratch(std::make_unique<Scratch>()) {}

EnvData::~EnvData() = default;

}  // namespace devmem
