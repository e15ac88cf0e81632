// One socket's receiving side: waits for data, has the transport fill a batch,
// hands it to JavaScript in one call per wake, and takes releases.
//
// It polls a duplicate of the socket's descriptor, because libuv allows one
// handle per descriptor and net.Socket has one for writing. The duplicate stays
// open after close() for as long as fragments are held: they belong to the
// consumer until released, and the kernel takes them back with the socket.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <vector>

#include "receive/frag_ring.h"
#include "receive/low_water_mark.h"
#include "receive/transport.h"
#include "support/poller.h"
#include "support/unique_fd.h"

namespace devmem {

class CmsgTransport;
class FragRing;

class Receiver : public Napi::ObjectWrap<Receiver>, private Poller::Listener {
 public:
  static Napi::Function Define(Napi::Env env);

  // (CopyArena | undefined, counters, onBatch). Without an arena the kernel's devmem
  // path, into what addSource() adds.
  explicit Receiver(const Napi::CallbackInfo& info);
  ~Receiver() override;

 private:
  // Bits of onBatch's `flags`; src/ts/native.ts has the same.
  static constexpr uint32_t kEnd = 1;
  static constexpr uint32_t kStalled = 2;

  bool TakeShared(const Napi::CallbackInfo& info);
  bool TakeTransport(const Napi::Value& value);

  Napi::Value AddSource(const Napi::CallbackInfo& info);
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Resume(const Napi::CallbackInfo& info);
  void Pause(const Napi::CallbackInfo& info);
  Napi::Value ReleaseRange(const Napi::CallbackInfo& info);
  Napi::Value Release(const Napi::CallbackInfo& info);
  Napi::Value Held(const Napi::CallbackInfo& info);
  Napi::Value SetReceiveBuffer(const Napi::CallbackInfo& info);
  Napi::Value SetLowWaterMark(const Napi::CallbackInfo& info);
  void RefPoll(const Napi::CallbackInfo& info);
  void UnrefPoll(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  void OnReady() override;
  void Deliver(Napi::Env env, const BatchWriter& batch, const FillResult& result);
  void Collect(uint32_t first, uint32_t count);
  Napi::Value ReturnCollected(Napi::Env env);
  void CloseSocketIfUnused();

  FragRing& ring_;
  UniqueFd socket_;
  Poller poller_;
  LowWaterMark low_water_mark_;
  std::unique_ptr<Transport> transport_;
  CmsgTransport* devmem_ = nullptr;  // transport_, where it is the devmem path's
  Counters* counters_ = nullptr;
  uint64_t held_ = 0;  // fragments that JavaScript has not released
  bool closed_ = false;

  // A release under way: tokens to return.
  std::vector<uint32_t> tokens_;

  std::vector<Napi::Reference<Napi::TypedArray>> credits_memory_;
  Napi::Reference<Napi::TypedArray> counters_memory_;
  Napi::FunctionReference on_batch_;
  std::optional<Napi::AsyncContext> context_;
};

}  // namespace devmem
