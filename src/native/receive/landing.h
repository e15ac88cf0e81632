// Memory of a consumer's choice that a socket is read into, one piece after the other, in
// place of a batch.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <span>

namespace devmem {

class MappedRegion;

class Landing {
 public:
  // `length` bytes, one at least, from `at` on in a mapping or a Uint8Array; false where they
  // are not inside.
  bool Begin(const Napi::Value& target, double at, double length);
  bool active() const { return size_ > 0; }

  // What is left of it. Empty where a script has taken the array's memory away.
  std::span<uint8_t> Space(Napi::Env env) const;
  void Advance(uint64_t bytes) { received_ += bytes; }
  bool full() const { return received_ == size_; }

  // Lets go of the memory. How many bytes came.
  uint64_t End();

 private:
  std::shared_ptr<MappedRegion> region_;
  Napi::Reference<Napi::TypedArray> array_;  // where there is no region
  uint64_t at_ = 0;
  uint64_t size_ = 0;
  uint64_t received_ = 0;
};

}  // namespace devmem
