#include "receive/receiver.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "receive/pool_handle.h"
#include "receive/scratch.h"
#include "support/callback.h"
#include "support/env_data.h"
#include "support/shared_memory.h"
#include "support/values.h"

namespace devmem {

namespace {

// What a JavaScript number counts exactly.
constexpr double kMaxSafeInteger = 9007199254740991.0;

constexpr napi_type_tag kTag = {0x7265636569766572, 0x5d18c0f3a7b26e94};

void ThrowUnusable(Napi::Env env, const Pool& pool) {
  std::string id = std::to_string(pool.id());
  std::string what = "Receiver(pool): the id of pool has to be one of 1 to 4294967293, and is " +
                     id +
                     ". The JavaScript and the native binary of devmem-tcp are of different "
                     "versions: install it anew, or in a clone run 'npm run build'";
  ThrowMisuse(env, what.c_str());
}

}  // namespace

Napi::Function Receiver::Define(Napi::Env env) {
  return DefineClass(
      env, "Receiver",
      {InstanceMethod<&Receiver::AddPool>("addPool"), InstanceMethod<&Receiver::Open>("open"),
       InstanceMethod<&Receiver::Resume>("resume"),
       InstanceMethod<&Receiver::CanResume>("canResume"), InstanceMethod<&Receiver::Pause>("pause"),
       InstanceMethod<&Receiver::Discard>("discard"), InstanceMethod<&Receiver::Land>("land"),
       InstanceMethod<&Receiver::EndLanding>("endLanding"),
       InstanceMethod<&Receiver::ReleaseRange>("releaseRange"),
       InstanceMethod<&Receiver::Release>("release"),
       InstanceMethod<&Receiver::ReleasePart>("releasePart"),
       InstanceMethod<&Receiver::SetReceiveBuffer>("setReceiveBuffer"),
       InstanceMethod<&Receiver::SetLowWaterMark>("setLowWaterMark"),
       InstanceMethod<&Receiver::RefPoll>("ref"), InstanceMethod<&Receiver::UnrefPoll>("unref"),
       InstanceMethod<&Receiver::Close>("close"), InstanceAccessor<&Receiver::Held>("held"),
       InstanceAccessor<&Receiver::Alone>("alone"), InstanceAccessor<&Receiver::Queued>("queued")});
}

Receiver::Receiver(const Napi::CallbackInfo& info)
    : Wrapped<Receiver>(info), ring_(*EnvData::Of(info.Env())->frag_ring) {
  Napi::Env env = info.Env();
  PoolHandle* pool = PoolHandle::From(info[0]);
  counters_ = SharedMemory<Counters>(info[1]);
  if (pool == nullptr || counters_ == nullptr || !info[2].IsFunction()) {
    closed_ = true;
    ThrowMisuse(env, "Receiver(pool, counters in shared memory, onBatch)");
    return;
  }
  counters_memory_ = Napi::Persistent(info[1].As<Napi::TypedArray>());
  on_batch_ = Napi::Persistent(info[2].As<Napi::Function>());
  context_.emplace(env, "devmem-tcp:receiver", info.This().As<Napi::Object>());
  channel_ = MakeChannel(env, *pool->pool(), *counters_);
  // The first pool of a channel is refused for its id, or for what is to fill it.
  if (int status = Join(pool->pool()); status != 0) {
    closed_ = true;
    if (status == -EBADF) {
      ThrowMisuse(env, "Receiver(pool): the rx queue that fills pool was never registered");
    } else {
      ThrowUnusable(env, *pool->pool());
    }
    return;
  }
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

Receiver::~Receiver() = default;

int Receiver::Join(std::shared_ptr<Pool> pool) {
  int status = channel_->Join(*pool);
  if (status == 0) pools_.push_back(std::move(pool));
  return status;
}

// addPool(pool) -> 0 | -errno; fragments may lie in this memory too.
Napi::Value Receiver::AddPool(const Napi::CallbackInfo& info) {
  PoolHandle* pool = PoolHandle::From(info[0]);
  int status = pool == nullptr || closed_ ? -EINVAL : Join(pool->pool());
  return Napi::Number::New(info.Env(), status);
}

// open(fd) -> 0 | -errno; duplicates the descriptor, does not start reading.
Napi::Value Receiver::Open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (closed_ || open_) return Napi::Number::New(env, -EINVAL);
  int status = channel_->Open(env, ToInt(info[0]), this);
  if (status == 0) {
    open_ = true;
    Ref();  // alive while the loop may call it
  }
  return Napi::Number::New(env, status);
}

// resume(waiting) -> 0 | -errno
Napi::Value Receiver::Resume(const Napi::CallbackInfo& info) {
  Demand demand = ToBool(info[0]) ? Demand::kWaiting : Demand::kAhead;
  int status = closed_ ? -EBADF : channel_->Resume(demand);
  return Napi::Number::New(info.Env(), status);
}

// canResume(patient) -> boolean
Napi::Value Receiver::CanResume(const Napi::CallbackInfo& info) {
  bool can = !closed_ && (ToBool(info[0]) ? channel_->Replenished() : channel_->HasRoom());
  return Napi::Boolean::New(info.Env(), can);
}

void Receiver::Pause(const Napi::CallbackInfo&) {
  if (!closed_) channel_->Pause();
}

// discard() -> 0 | -errno
Napi::Value Receiver::Discard(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), closed_ ? -EBADF : channel_->Discard());
}

// land(target: Mapping | Uint8Array, at, length) -> 0 | -errno
Napi::Value Receiver::Land(const Napi::CallbackInfo& info) {
  int status = closed_ ? -EBADF : channel_->Land(info[0], ToDouble(info[1]), ToDouble(info[2]));
  return Napi::Number::New(info.Env(), status);
}

// endLanding() -> bytes that came
Napi::Value Receiver::EndLanding(const Napi::CallbackInfo& info) {
  uint64_t bytes = channel_ == nullptr ? 0 : channel_->EndLanding();
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// The one call into JavaScript for each read.
void Receiver::OnArrival(const Arrival& arrival) {
  Napi::Env env = Env();
  if (arrival.count > 0) {
    counters_->batches++;
    counters_->frags += arrival.count;
    held_ += arrival.count;
  }
  if (arrival.stalled) counters_->stalls++;
  uint32_t flags = (arrival.end ? kEnd : 0) | (arrival.stalled ? kStalled : 0) |
                   (arrival.ahead ? kAhead : 0) | (arrival.landed ? kLanded : 0);
  napi_value arguments[5] = {Napi::Number::New(env, arrival.first),
                             Napi::Number::New(env, arrival.count)};
  // Under load there is nothing else to tell, and each value costs.
  if (flags == 0 && arrival.error == 0 && arrival.linear_bytes == 0) {
    return CallFromLoop(env, *context_, Value(), on_batch_.Value(), std::span(arguments, 2));
  }
  arguments[2] = Napi::Number::New(env, flags);
  arguments[3] = Napi::Number::New(env, arrival.error);
  arguments[4] = env.Undefined();
  if (arrival.linear_bytes > 0) {
    arguments[4] =
        Napi::Buffer<uint8_t>::Copy(env, EnvData::Of(env)->scratch->linear(), arrival.linear_bytes);
  }
  CallFromLoop(env, *context_, Value(), on_batch_.Value(), arguments);
}

// releaseRange(first, count) -> undefined | -errno of SO_DEVMEM_DONTNEED
Napi::Value Receiver::ReleaseRange(const Napi::CallbackInfo& info) {
  Collect(ToUint(info[0]), ToUint(info[1]));
  return ReturnCollected(info.Env());
}

// release(numbers: Uint32Array, count) -> undefined | -errno of SO_DEVMEM_DONTNEED
Napi::Value Receiver::Release(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!IsTypedArray(info[0], napi_uint32_array)) {
    ThrowMisuse(env, "release(Uint32Array, count)");
    return env.Undefined();
  }
  Napi::Uint32Array numbers = info[0].As<Napi::Uint32Array>();
  size_t count = std::min<size_t>(ToUint(info[1]), numbers.ElementLength());
  const uint32_t* list = numbers.Data();
  for (size_t i = 0; i < count;) {
    size_t next = i + 1;
    while (next < count && list[next] == list[next - 1] + 1 && list[next] % kSlotCapacity != 0) {
      next++;
    }
    Collect(list[i], static_cast<uint32_t>(next - i));
    i = next;
  }
  return ReturnCollected(env);
}

// releasePart(number, at, bytes) -> whether there were such bytes to give back by themselves
Napi::Value Receiver::ReleasePart(const Napi::CallbackInfo& info) {
  uint32_t index;
  Slot* slot = ring_.Find(ToUint(info[0]), &index);
  bool released = slot != nullptr && held_ > 0 &&
                  channel_->UnpinPart(*slot, index, ToUint(info[1]), ToUint(info[2]));
  return Napi::Boolean::New(info.Env(), released);
}

// Marks neighbouring descriptors of one slot as released; a second time does nothing.
void Receiver::Collect(uint32_t first, uint32_t count) {
  uint32_t begin;
  Slot* slot = ring_.Find(first, &begin);
  if (slot == nullptr || held_ == 0) return;
  count = std::min(count, slot->used - begin);
  uint32_t released = channel_->Unpin(*slot, begin, count);
  if (released == 0) return;
  ring_.Release(first, released);
  held_ -= std::min<uint64_t>(released, held_);
}

// Undefined after a success: the one answer that costs nothing to make.
Napi::Value Receiver::ReturnCollected(Napi::Env env) {
  int status = channel_ == nullptr ? 0 : channel_->Return();
  CloseSocketIfUnused();
  return status == 0 ? Napi::Value() : Napi::Number::New(env, status);
}

Napi::Value Receiver::Held(const Napi::CallbackInfo& info) {
  if (!IsOwn(info, kTag)) return {};
  return Napi::Number::New(info.Env(), static_cast<double>(held_));
}

Napi::Value Receiver::Alone(const Napi::CallbackInfo& info) {
  if (!IsOwn(info, kTag)) return {};
  return Napi::Boolean::New(info.Env(), !closed_ && channel_->HoldsAll());
}

Napi::Value Receiver::Queued(const Napi::CallbackInfo& info) {
  if (!IsOwn(info, kTag)) return {};
  return Napi::Boolean::New(info.Env(), channel_->Queued());
}

// setReceiveBuffer(bytes) -> 0 | -errno
Napi::Value Receiver::SetReceiveBuffer(const Napi::CallbackInfo& info) {
  int status = closed_ ? -EBADF : channel_->SetReceiveBuffer(ToInt(info[0]));
  return Napi::Number::New(info.Env(), status);
}

// setLowWaterMark(bytes, ahead) -> 0 | -errno of SO_RCVLOWAT
Napi::Value Receiver::SetLowWaterMark(const Napi::CallbackInfo& info) {
  uint32_t bytes = std::max(ToUint(info[0]), 1U);
  double ahead = ToDouble(info[1]);
  if (!(ahead >= 0 && ahead <= kMaxSafeInteger)) ahead = 0;
  int status = closed_ ? -EBADF : channel_->SetLowWaterMark(bytes, static_cast<uint64_t>(ahead));
  return Napi::Number::New(info.Env(), status);
}

void Receiver::RefPoll(const Napi::CallbackInfo&) {
  if (!closed_) channel_->Ref();
}
void Receiver::UnrefPoll(const Napi::CallbackInfo&) {
  if (!closed_) channel_->Unref();
}

// Ends reading. The connection is shut down now; the descriptor closes with the
// last release: fragments belong to the consumer until then, and the kernel takes them
// back with the socket.
void Receiver::Close(const Napi::CallbackInfo&) {
  if (closed_) return;
  closed_ = true;
  // The callback knows the JavaScript side of this socket, which knows this
  // object: held on to, neither could ever be collected.
  on_batch_.Reset();
  channel_->Close(held_ > 0);
  if (open_) Unref();
}

void Receiver::CloseSocketIfUnused() {
  if (closed_ && held_ == 0 && channel_ != nullptr) channel_->CloseSocket();
}

}  // namespace devmem
