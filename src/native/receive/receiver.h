// One socket's receiving side as JavaScript has it: hands over what its channel delivers,
// in one call for each read, and takes releases.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <vector>

#include "receive/channel.h"
#include "receive/frag_ring.h"
#include "support/wrapped.h"

namespace devmem {

class Receiver : public Wrapped<Receiver>, private Channel::Listener {
 public:
  // Bits of onBatch's `flags`; the addon exports them.
  static constexpr uint32_t kEnd = 1;
  static constexpr uint32_t kStalled = 2;
  static constexpr uint32_t kAhead = 4;
  static constexpr uint32_t kLanded = 8;

  static Napi::Function Define(Napi::Env env);

  // (pool, counters, onBatch). Counts as a member of the pool until close().
  explicit Receiver(const Napi::CallbackInfo& info);
  ~Receiver() override;

 private:
  int Join(std::shared_ptr<Pool> pool);

  Napi::Value AddPool(const Napi::CallbackInfo& info);
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Resume(const Napi::CallbackInfo& info);
  Napi::Value CanResume(const Napi::CallbackInfo& info);
  void Pause(const Napi::CallbackInfo& info);
  Napi::Value Discard(const Napi::CallbackInfo& info);
  Napi::Value Land(const Napi::CallbackInfo& info);
  Napi::Value EndLanding(const Napi::CallbackInfo& info);
  Napi::Value ReleaseRange(const Napi::CallbackInfo& info);
  Napi::Value Release(const Napi::CallbackInfo& info);
  Napi::Value ReleasePart(const Napi::CallbackInfo& info);
  Napi::Value Held(const Napi::CallbackInfo& info);
  Napi::Value Alone(const Napi::CallbackInfo& info);
  Napi::Value Queued(const Napi::CallbackInfo& info);
  Napi::Value SetReceiveBuffer(const Napi::CallbackInfo& info);
  Napi::Value SetLowWaterMark(const Napi::CallbackInfo& info);
  void RefPoll(const Napi::CallbackInfo& info);
  void UnrefPoll(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  void OnArrival(const Arrival& arrival) override;
  void Collect(uint32_t first, uint32_t count);
  Napi::Value ReturnCollected(Napi::Env env);
  void CloseSocketIfUnused();

  FragRing& ring_;
  std::vector<std::shared_ptr<Pool>> pools_;  // before what refers to them
  std::unique_ptr<Channel> channel_;
  Counters* counters_ = nullptr;
  uint64_t held_ = 0;  // fragments that JavaScript has not released
  bool open_ = false;
  bool closed_ = false;

  Napi::Reference<Napi::TypedArray> counters_memory_;
  Napi::FunctionReference on_batch_;
  std::optional<Napi::AsyncContext> context_;
};

}  // namespace devmem
