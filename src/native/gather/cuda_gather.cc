#include "gather/cuda_gather.h"

#include <algorithm>
#include <cstring>

#include "gather/cuda_registration.h"
#include "gather/cuda_values.h"
#include "memory/cuda.h"
#include "memory/cuda_live.h"
#include "support/async_call.h"
#include "support/callback.h"

namespace devmem {

namespace {

// cudaLive() -> what this process has of CUDA, by name
Napi::Value Live(const Napi::CallbackInfo& info) {
  Napi::Object live = Napi::Object::New(info.Env());
  auto set = [&](const char* name, const CudaCount& count) {
    (void)live.Set(name, Napi::Number::New(info.Env(), static_cast<double>(count)));
  };
  set("contexts", cuda_live.contexts);
  set("streams", cuda_live.streams);
  set("events", cuda_live.events);
  set("modules", cuda_live.modules);
  set("pinnedBytes", cuda_live.pinned_bytes);
  set("registrations", cuda_live.registrations);
  set("threads", cuda_live.threads);
  return live;
}

// Where a CudaMemory, a CudaRegistration or (the CPU's alone) a Mapping lies.
std::optional<CudaPlace> PlaceOf(const Napi::Value& value) {
  if (CudaMemory* memory = CudaMemory::From(value)) {
    const auto& allocation = memory->allocation();
    return CudaPlace{allocation->address(), nullptr, allocation->size(), allocation};
  }
  if (CudaRegistration* registration = CudaRegistration::From(value)) {
    const auto& region = registration->region();
    return CudaPlace{region->address(), nullptr, region->size(), region};
  }
  if (Mapping* mapping = Mapping::From(value)) {
    const auto& region = mapping->region();
    return CudaPlace{0, region->data(), region->size(), region};
  }
  return std::nullopt;
}

// A number of bytes; beyond all memory for what is none.
uint64_t ToBytes(const Napi::Value& value) {
  double bytes = ToDouble(value);
  return bytes >= 0 && bytes < 0x1p53 ? static_cast<uint64_t>(bytes) : UINT64_MAX;
}

}  // namespace

void DefineCudaGather(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "cudaLive", Live, napi_enumerable),
      Napi::PropertyDescriptor::Value("CudaGather", CudaGather::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("CudaRegistration", CudaRegistration::Define(env),
                                      napi_enumerable),
  });
}

Napi::Function CudaGather::Define(Napi::Env env) {
  auto limit = [&](const char* name, uint32_t value) {
    return StaticValue(name, Napi::Number::New(env, value), napi_enumerable);
  };
  return DefineClass(
      env, "CudaGather",
      {limit("fragments", CudaEngine::kFragments), limit("stagingBytes", CudaEngine::kStagingBytes),
       limit("slots", CudaEngine::kSlots), InstanceMethod<&CudaGather::Open>("open"),
       InstanceMethod<&CudaGather::Start>("start"), InstanceMethod<&CudaGather::Gather>("gather"),
       InstanceMethod<&CudaGather::Write>("write"), InstanceMethod<&CudaGather::Collect>("collect"),
       InstanceMethod<&CudaGather::Retire>("retire"), InstanceMethod<&CudaGather::Close>("close")});
}

// new CudaGather(cuda, device, endsWithProcess, onEnded)
CudaGather::CudaGather(const Napi::CallbackInfo& info) : Wrapped<CudaGather>(info) {
  Cuda* cuda = Cuda::From(info[0]);
  if (cuda == nullptr || !info[3].IsFunction()) {
    ThrowMisuse(info.Env(),
                "new CudaGather(cuda that was loaded, device, endsWithProcess, onEnded)");
    return;
  }
  auto context = std::make_shared<CudaContext>(cuda->driver(), ToInt(info[1]));
  engine_ = std::make_shared<CudaEngine>(std::move(context));
  ends_with_process_ = ToBool(info[2]);
  on_ended_ = Napi::Persistent(info[3].As<Napi::Function>());
  context_.emplace(info.Env(), "devmem-tcp:cuda-gather", info.This().As<Napi::Object>());
}

CudaGather::~CudaGather() {
  Shut();
}

// open() -> Promise<undefined | CudaFailure>; on another thread
Napi::Value CudaGather::Open(const Napi::CallbackInfo& info) {
  auto engine = engine_;
  auto open = [engine]() { return engine == nullptr ? kCudaClosed : engine->Open(); };
  return CallAsync(info.Env(), "devmem-tcp:cuda-gather", open, ToValue);
}

// start() -> undefined | CudaFailure; once opened, before all else
Napi::Value CudaGather::Start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (engine_ == nullptr || started()) return ToValue(env, kCudaClosed);
  if (wakeup_.Open(env, this) != 0) {
    return ToValue(env, {"uv_async_init", CUDA_ERROR_OPERATING_SYSTEM});
  }
  CudaFailure failure = engine_->Start([this]() { wakeup_.Send(); });
  if (failure) wakeup_.Close();
  return ToValue(env, failure);
}

// gather(source, offsets, sizes, first, count, skip, length, target, offset)
//     -> number of the launch | 0: all slots are taken | CudaFailure
Napi::Value CudaGather::Gather(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!started()) return ToValue(env, kCudaClosed);
  auto source = PlaceOf(info[0]);
  auto offsets = Elements<const double>(info[1], napi_float64_array);
  auto sizes = Elements<const uint32_t>(info[2], napi_uint32_array);
  uint32_t first = ToUint(info[3]);
  uint32_t count = ToUint(info[4]);
  auto target = PlaceOf(info[7]);
  bool inside = count <= CudaEngine::kFragments && first <= sizes.size() &&
                count <= sizes.size() - first && first <= offsets.size() &&
                count <= offsets.size() - first;
  if (!source || !inside || target.has_value() == info[7].IsUndefined()) {
    return ToValue(env, {"gather", CUDA_ERROR_INVALID_VALUE});
  }
  Fragments fragments = {offsets.subspan(first, count), sizes.subspan(first, count),
                         ToBytes(info[5]), ToBytes(info[6])};
  return Answer(env, engine_->Gather(*source, fragments, target, ToBytes(info[8])));
}

// write(bytes, from, length, target, offset) -> as gather()
Napi::Value CudaGather::Write(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!started()) return ToValue(env, kCudaClosed);
  auto bytes = Elements<const uint8_t>(info[0], napi_uint8_array);
  uint64_t from = ToBytes(info[1]);
  uint64_t length = ToBytes(info[2]);
  auto target = PlaceOf(info[3]);
  // It may have been detached, or have become shorter.
  if (!target || from > bytes.size() || length > bytes.size() - from) {
    return ToValue(env, {"gather", CUDA_ERROR_INVALID_VALUE});
  }
  return Answer(env, engine_->Write(bytes.subspan(from, length), *target, ToBytes(info[4])));
}

Napi::Value CudaGather::Answer(Napi::Env env, CudaEngine::Started started) {
  if (started.failure) return ToValue(env, started.failure);
  // Somebody waits for it: the loop stays alive.
  if (started.number > 0) wakeup_.Ref();
  return Napi::Number::New(env, static_cast<double>(started.number));
}

// collect(number, target, offset) -> whether the target, a Uint8Array or a Mapping, has
// room there for what the launch put into staging. To be called within onEnded, before
// retire().
Napi::Value CudaGather::Collect(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!started()) return Napi::Boolean::New(env, false);
  auto bytes = engine_->Staged(ToBytes(info[0]));
  auto target = Elements<uint8_t>(info[1], napi_uint8_array);
  if (Mapping* mapping = Mapping::From(info[1])) {
    target = {mapping->region()->data(), mapping->region()->size()};
  }
  uint64_t offset = ToBytes(info[2]);
  bool fits = offset <= target.size() && bytes.size() <= target.size() - offset;
  if (fits && !bytes.empty()) std::memcpy(target.data() + offset, bytes.data(), bytes.size());
  return Napi::Boolean::New(env, fits);
}

// retire(number): nothing more is wanted of the launches up to there, which have ended;
// their slots are free. Comes by itself after onEnded.
void CudaGather::Retire(const Napi::CallbackInfo& info) {
  uint64_t number = ToBytes(info[0]);
  if (started() && number <= engine_->progress().ended) engine_->Retire(number);
}

void CudaGather::Close(const Napi::CallbackInfo&) {
  Shut();
}

void CudaGather::OnWake() {
  Napi::HandleScope scope(Env());
  // The callback may close this, and what it has; a second wake may have come before.
  auto engine = engine_;
  auto progress = engine->progress();
  uint64_t told = engine->retired();
  if (progress.done > told) Tell(progress.done, {});
  if (started() && progress.ended > std::max(progress.done, told)) {
    Tell(progress.ended, progress.failure);
  }
  if (started() && engine->in_flight() == 0) wakeup_.Unref();
}

// onEnded(number, failure): the launches up to `number` that were not told of yet are
// done, or have all failed.
void CudaGather::Tell(uint64_t number, CudaFailure failure) {
  auto engine = engine_;
  napi_value arguments[] = {Napi::Number::New(Env(), static_cast<double>(number)),
                            ToValue(Env(), failure)};
  CallFromLoop(Env(), *context_, Value(), on_ended_.Value(), arguments);
  if (started()) engine->Retire(number);
}

// The memory of a launch that is under way is freed after it: the engine waits.
void CudaGather::OnTeardown() {
  if (engine_ != nullptr && ends_with_process_) engine_->Abandon();
  Shut();
}

void CudaGather::Shut() {
  if (engine_ == nullptr) return;
  engine_->Close();
  wakeup_.Close();
  engine_.reset();
  on_ended_.Reset();
}

}  // namespace devmem
