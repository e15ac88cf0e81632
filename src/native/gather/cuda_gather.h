// The CUDA engine as JavaScript has it.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "gather/cuda_engine.h"
#include "support/wakeup.h"
#include "support/wrapped.h"

namespace devmem {

// Adds what JavaScript calls to the addon's exports.
void DefineCudaGather(Napi::Env env, Napi::Object exports);

class CudaGather : public Wrapped<CudaGather>, private Wakeup::Listener {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit CudaGather(const Napi::CallbackInfo& info);
  ~CudaGather() override;

 private:
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value Gather(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Collect(const Napi::CallbackInfo& info);
  void Retire(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  void OnWake() override;
  void OnTeardown() override;
  void Tell(uint64_t number, CudaFailure failure);
  Napi::Value Answer(Napi::Env env, CudaEngine::Started started);
  bool started() const { return wakeup_.open(); }
  void Shut();

  std::shared_ptr<CudaEngine> engine_;
  Wakeup wakeup_;
  Napi::FunctionReference on_ended_;
  std::optional<Napi::AsyncContext> context_;
  bool ends_with_process_ = false;
};

}  // namespace devmem
