// An rx queue taken by io_uring, as JavaScript has it: one per binding.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "support/wrapped.h"
#include "zcrx/queue.h"

namespace devmem {

// Adds ZcrxQueue and queryZcrx to the addon's exports.
void DefineZcrx(Napi::Env env, Napi::Object exports);

class ZcrxQueueHandle : public Wrapped<ZcrxQueueHandle>, private ZcrxQueue::Listener {
 public:
  static Napi::Function Define(Napi::Env env);
  static ZcrxQueueHandle* From(const Napi::Value& value);

  // (onMemoryDry)
  explicit ZcrxQueueHandle(const Napi::CallbackInfo& info);
  ~ZcrxQueueHandle() override;

  std::shared_ptr<ZcrxQueue> queue() const { return queue_; }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Register(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void OnMemoryDry() override;

  std::shared_ptr<ZcrxQueue> queue_;
  Napi::FunctionReference on_memory_dry_;
  std::optional<Napi::AsyncContext> context_;
  bool referenced_ = false;  // by itself: the kernel has the queue, whoever else forgot it
};

}  // namespace devmem
