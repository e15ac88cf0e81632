#include "memory/memory_claim.h"

#include <mutex>
#include <set>

#include "support/values.h"

namespace devmem {

namespace {

// Of the whole process, unlike all other state of the addon.
struct Claims {
  std::mutex mutex;
  std::set<std::string> taken;
};

Claims& AllClaims() {
  static Claims claims;
  return claims;
}

}  // namespace

Napi::Function MemoryClaim::Define(Napi::Env env) {
  return DefineClass(
      env, "MemoryClaim",
      {InstanceMethod<&MemoryClaim::Take>("take"), InstanceMethod<&MemoryClaim::Drop>("drop")});
}

// new MemoryClaim(memory): a string that only this memory has
MemoryClaim::MemoryClaim(const Napi::CallbackInfo& info) : Wrapped<MemoryClaim>(info) {
  if (!info[0].IsString()) {
    ThrowMisuse(info.Env(), "new MemoryClaim(string)");
    return;
  }
  memory_ = info[0].As<Napi::String>().Utf8Value();
}

// By garbage collection, or the end of its thread.
MemoryClaim::~MemoryClaim() {
  Drop();
}

// take() -> whether it has the memory now: not while another one has.
Napi::Value MemoryClaim::Take(const Napi::CallbackInfo& info) {
  if (!taken_) {
    Claims& all = AllClaims();
    std::lock_guard lock(all.mutex);
    taken_ = all.taken.insert(memory_).second;
  }
  return Napi::Boolean::New(info.Env(), taken_);
}

void MemoryClaim::Drop(const Napi::CallbackInfo&) {
  Drop();
}

void MemoryClaim::Drop() {
  if (!taken_) return;
  Claims& all = AllClaims();
  std::lock_guard lock(all.mutex);
  all.taken.erase(memory_);
  taken_ = false;
}

}  // namespace devmem
