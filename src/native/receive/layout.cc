#include "receive/layout.h"

#include "receive/counters.h"
#include "receive/frag_ring.h"
#include "receive/pool.h"
#include "receive/receiver.h"

namespace devmem {

namespace {

Napi::Object Numbers(Napi::Env env, std::initializer_list<std::pair<const char*, size_t>> entries) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, value] : entries) {
    (void)object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  }
  return object;
}

Napi::Array CounterNames(Napi::Env env) {
  Napi::Array names = Napi::Array::New(env, kCounterNames.size());
  for (uint32_t i = 0; i < kCounterNames.size(); i++) {
    (void)names.Set(i, Napi::String::New(env, kCounterNames[i]));
  }
  return names;
}

}  // namespace

void DefineLayout(Napi::Env env, Napi::Object exports) {
  Napi::Object layout = Napi::Object::New(env);
  (void)layout.Set("counters", CounterNames(env));
  (void)layout.Set("slot", Numbers(env, {{"capacity", kSlotCapacity},
                                         {"offsets", FragRing::kOffsets},
                                         {"sizes", FragRing::kSizes},
                                         {"sources", FragRing::kSources}}));
  (void)layout.Set("flags", Numbers(env, {{"end", Receiver::kEnd},
                                          {"stalled", Receiver::kStalled},
                                          {"ahead", Receiver::kAhead},
                                          {"landed", Receiver::kLanded}}));
  // Indexes of a Float64Array.
  (void)layout.Set("pool",
                   Numbers(env, {{"held", offsetof(Pool::Readout, held) / sizeof(double)},
                                 {"members", offsetof(Pool::Readout, members) / sizeof(double)},
                                 {"length", sizeof(Pool::Readout) / sizeof(double)}}));
  (void)exports.Set("layout", layout);
}

}  // namespace devmem
