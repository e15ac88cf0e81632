#include "receive/receiver.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "receive/cmsg_transport.h"
#include "receive/copy_transport.h"
#include "support/callback.h"
#include "support/env_data.h"
#include "support/values.h"

namespace devmem {

namespace {

// Fragments of the copy transport carry this instead of a dmabuf id.
constexpr uint32_t kCopySource = 0xfffffffe;

// What a JavaScript number counts exactly.
constexpr double kMaxSafeInteger = 9007199254740991.0;

}  // namespace

Napi::Function Receiver::Define(Napi::Env env) {
  return DefineClass(
      env, "Receiver",
      {InstanceMethod<&Receiver::AddSource>("addSource"), InstanceMethod<&Receiver::Open>("open"),
       InstanceMethod<&Receiver::Resume>("resume"), InstanceMethod<&Receiver::Pause>("pause"),
       InstanceMethod<&Receiver::ReleaseRange>("releaseRange"),
       InstanceMethod<&Receiver::Release>("release"),
       InstanceMethod<&Receiver::SetReceiveBuffer>("setReceiveBuffer"),
       InstanceMethod<&Receiver::SetLowWaterMark>("setLowWaterMark"),
       InstanceMethod<&Receiver::RefPoll>("ref"), InstanceMethod<&Receiver::UnrefPoll>("unref"),
       InstanceMethod<&Receiver::Close>("close"), InstanceAccessor<&Receiver::Held>("held")});
}

Receiver::Receiver(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Receiver>(info), ring_(*EnvData::Of(info.Env())->frag_ring) {
  Napi::Env env = info.Env();
  if (!TakeShared(info) || !TakeTransport(info[0])) {
    ThrowMisuse(env, "Receiver(arena | undefined, counters, onBatch)");
    return;
  }
  on_batch_ = Napi::Persistent(info[2].As<Napi::Function>());
  context_.emplace(env, "devmem-tcp:receiver", info.This().As<Napi::Object>());
}

Receiver::~Receiver() = default;

bool Receiver::TakeShared(const Napi::CallbackInfo& info) {
  if (!IsTypedArray(info[1], napi_float64_array) || !info[2].IsFunction()) return false;
  Napi::Float64Array counters = info[1].As<Napi::Float64Array>();
  if (counters.ElementLength() < kCounterCount) return false;
  counters_ = reinterpret_cast<Counters*>(counters.Data());
  counters_memory_ = Napi::Persistent(info[1].As<Napi::TypedArray>());
  return true;
}

bool Receiver::TakeTransport(const Napi::Value& value) {
  if (CopyArenaHandle* handle = CopyArenaHandle::From(value)) {
    transport_ = std::make_unique<CopyTransport>(handle->arena(), kCopySource, *counters_);
    return true;
  }
  if (!value.IsUndefined()) return false;
  auto devmem = std::make_unique<CmsgTransport>(*EnvData::Of(Env())->scratch, *counters_);
  devmem_ = devmem.get();
  transport_ = std::move(devmem);
  return true;
}

// addSource(id, size, credits) -> 0 | -errno; fragments may lie in this dma-buf too.
Napi::Value Receiver::AddSource(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  double size = ToDouble(info[1]);
  if (devmem_ == nullptr || !(size >= 0 && size <= kMaxSafeInteger) ||
      !IsTypedArray(info[2], napi_float64_array) ||
      info[2].As<Napi::TypedArray>().ElementLength() < kCreditCount) {
    ThrowMisuse(env, "addSource(id, size, credits), without an arena");
    return env.Undefined();
  }
  auto* credits = reinterpret_cast<Credits*>(info[2].As<Napi::Float64Array>().Data());
  int status = devmem_->AddSource({ToUint(info[0]), static_cast<uint64_t>(size), credits});
  if (status == 0) credits_memory_.push_back(Napi::Persistent(info[2].As<Napi::TypedArray>()));
  return Napi::Number::New(env, status);
}

// open(fd) -> 0 | -errno; duplicates the descriptor, does not start reading.
Napi::Value Receiver::Open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (transport_ == nullptr || closed_ || socket_.valid()) return Napi::Number::New(env, -EINVAL);
  socket_.Reset(fcntl(ToInt(info[0]), F_DUPFD_CLOEXEC, 3));
  if (!socket_.valid()) return Napi::Number::New(env, -errno);
  int status = poller_.Open(env, socket_.get(), this);
  if (status != 0) {
    socket_.Reset();
  } else {
    Ref();  // alive while the loop may call it
  }
  return Napi::Number::New(env, status);
}

Napi::Value Receiver::Resume(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), poller_.Start());
}

void Receiver::Pause(const Napi::CallbackInfo&) {
  poller_.Stop();
}

void Receiver::OnReady() {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  counters_->wakes++;
  std::optional<BatchWriter> batch = ring_.Begin(env);
  if (!batch) return poller_.Stop();

  FillResult result = transport_->Fill(socket_.get(), *batch, low_water_mark_.active());
  low_water_mark_.AfterRead(socket_.get(), result.bytes, result.drained);
  batch->Commit();
  held_ += batch->count();

  bool over = result.error != 0 || result.end;
  if (over || result.stalled) poller_.Stop();
  if (batch->count() > 0 || over || result.stalled) Deliver(env, *batch, result);
}

// The one call into JavaScript per wake.
void Receiver::Deliver(Napi::Env env, const BatchWriter& batch, const FillResult& result) {
  if (batch.count() > 0) {
    counters_->batches++;
    counters_->frags += batch.count();
  }
  if (result.stalled) counters_->stalls++;
  uint32_t flags = (result.end ? kEnd : 0) | (result.stalled ? kStalled : 0);
  napi_value arguments[5] = {Napi::Number::New(env, batch.first_number()),
                             Napi::Number::New(env, batch.count())};
  // Under load there is nothing else to tell, and each value costs.
  if (flags == 0 && result.error == 0 && result.linear_bytes == 0) {
    return CallFromLoop(env, *context_, Value(), on_batch_.Value(), std::span(arguments, 2));
  }
  arguments[2] = Napi::Number::New(env, flags);
  arguments[3] = Napi::Number::New(env, result.error);
  arguments[4] = env.Undefined();
  if (result.linear_bytes > 0) {
    arguments[4] =
        Napi::Buffer<uint8_t>::Copy(env, EnvData::Of(env)->scratch->linear(), result.linear_bytes);
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

// Marks neighbouring descriptors of one slot as released; a second time does nothing.
void Receiver::Collect(uint32_t first, uint32_t count) {
  uint32_t begin;
  Slot* slot = ring_.Find(first, &begin);
  if (slot == nullptr || held_ == 0) return;
  count = std::min(count, slot->used - begin);
  uint32_t released = transport_->Unpin(*slot, begin, count, tokens_);
  if (released == 0) return;
  ring_.Release(first, released);
  held_ -= std::min<uint64_t>(released, held_);
}

// Undefined after a success: the one answer that costs nothing to make.
Napi::Value Receiver::ReturnCollected(Napi::Env env) {
  int status = 0;
  if (!tokens_.empty()) status = transport_->Release(socket_.get(), tokens_);
  tokens_.clear();
  CloseSocketIfUnused();
  return status == 0 ? Napi::Value() : Napi::Number::New(env, status);
}

Napi::Value Receiver::Held(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(held_));
}

// setReceiveBuffer(bytes) -> 0 | -errno. The kernel doubles what it is told
// (net/core/sock.c __sock_set_rcvbuf), so half is asked for; beyond
// net.core.rmem_max only with CAP_NET_ADMIN.
Napi::Value Receiver::SetReceiveBuffer(const Napi::CallbackInfo& info) {
  int bytes = ToInt(info[0]) / 2;
  int status = setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (status < 0) {
    status = setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  return Napi::Number::New(info.Env(), status < 0 ? -errno : 0);
}

// setLowWaterMark(bytes, ahead) -> 0 | -errno of SO_RCVLOWAT
Napi::Value Receiver::SetLowWaterMark(const Napi::CallbackInfo& info) {
  uint32_t bytes = std::max(ToUint(info[0]), 1U);
  double ahead = ToDouble(info[1]);
  if (!(ahead >= 0 && ahead <= kMaxSafeInteger)) ahead = 0;
  int status = low_water_mark_.Set(socket_.get(), bytes, static_cast<uint64_t>(ahead));
  return Napi::Number::New(info.Env(), status);
}

void Receiver::RefPoll(const Napi::CallbackInfo&) {
  poller_.Ref();
}
void Receiver::UnrefPoll(const Napi::CallbackInfo&) {
  poller_.Unref();
}

// Ends reading. The connection is shut down now; the descriptor closes with the
// last release.
void Receiver::Close(const Napi::CallbackInfo&) {
  if (closed_) return;
  closed_ = true;
  // The callback knows the JavaScript side of this socket, which knows this
  // object: held on to, neither could ever be collected.
  on_batch_.Reset();
  if (poller_.open()) {
    poller_.Close();
    Unref();
  }
  if (held_ > 0) shutdown(socket_.get(), SHUT_RDWR);
  CloseSocketIfUnused();
}

void Receiver::CloseSocketIfUnused() {
  if (closed_ && held_ == 0) socket_.Reset();
}

}  // namespace devmem
