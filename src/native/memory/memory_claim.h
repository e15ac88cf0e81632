// Which thread of the process receives into a memory. Threads share nothing else here:
// each has its own environment, and a descriptor's number is all that one needs to
// import what another has.
#pragma once

#include <napi.h>

#include <string>

#include "support/wrapped.h"

namespace devmem {

class MemoryClaim : public Wrapped<MemoryClaim> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit MemoryClaim(const Napi::CallbackInfo& info);
  ~MemoryClaim() override;

 private:
  Napi::Value Take(const Napi::CallbackInfo& info);
  void Drop(const Napi::CallbackInfo& info);
  void Drop();

  std::string memory_;
  bool taken_ = false;
};

}  // namespace devmem
