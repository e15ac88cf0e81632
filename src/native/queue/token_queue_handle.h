// A thread's token queue, as JavaScript has it.
#pragma once

#include <napi.h>

#include <memory>

#include "queue/token_queue.h"
#include "support/wrapped.h"

namespace devmem {

class TokenQueueHandle : public Wrapped<TokenQueueHandle> {
 public:
  static Napi::Function Define(Napi::Env env);
  static TokenQueueHandle* From(const Napi::Value& value);

  // ()
  explicit TokenQueueHandle(const Napi::CallbackInfo& info);

  std::shared_ptr<TokenQueue> queue() const { return queue_; }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<TokenQueue> queue_;
};

}  // namespace devmem
