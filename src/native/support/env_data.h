// What one environment (the main thread, a worker) has of its own. Nothing in
// this addon is static: two workers never share state by accident.
#pragma once

#include <napi.h>

#include <memory>

namespace devmem {

class FragRing;
class Scratch;

struct EnvData {
  explicit EnvData(Napi::Env env);
  ~EnvData();

  static EnvData* Of(Napi::Env env) { return env.GetInstanceData<EnvData>(); }

  std::unique_ptr<FragRing> frag_ring;
  std::unique_ptr<Scratch> scratch;
  Napi::FunctionReference owned_fd;
  Napi::FunctionReference mapping;
};

}  // namespace devmem
