// The frag ring: where fragment descriptors pass from C++ to JavaScript.
//
// It is made of slots, each a column store of kSlotCapacity descriptors. Three columns lie
// in a SharedArrayBuffer that JavaScript reads through typed arrays:
//
//   offset  float64  bytes from the start of the dma-buf (or of the linear bytes)
//   size    uint32   bytes
//   source  uint32   dmabuf id; 0: linear
//
// and are only written here. What giving back relies on, JavaScript has no view of:
//
//   token   uint32   what gives the fragment back
//   pages   uint32   pages that it holds of the memory
//   owner   uint32   as source; kReleasedSource: given back; kDividedSource: in parts
//
// The copy transport has both of the former for where a fragment lies (copy_transport.cc).
//
// A batch is a run of neighbouring descriptors in one slot. All sockets of an
// environment fill the same slot one after the other, so an idle socket owns
// nothing here. A slot is used again once each of its descriptors is released.
//
// A descriptor's number is slot * kSlotCapacity + index.
#pragma once

#include <napi.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "receive/batch_writer.h"

namespace devmem {

struct Slot : SlotColumns {
  Napi::Reference<Napi::TypedArray> memory;
  std::unique_ptr<uint32_t[]> own;
};

class FragRing {
 public:
  // Where the shared columns lie in a slot's memory, in bytes.
  static constexpr size_t kOffsets = 0;
  static constexpr size_t kSizes = kSlotCapacity * sizeof(double);
  static constexpr size_t kSources = kSizes + kSlotCapacity * sizeof(uint32_t);
  static constexpr size_t kSlotBytes = kSources + kSlotCapacity * sizeof(uint32_t);

  // `make`(doubles) gives a Float64Array over shared memory, which only JavaScript can make.
  void SetMaker(Napi::Function make) { make_ = Napi::Persistent(make); }

  // A writer with room for at least kMinimumRoom descriptors; none where the
  // engine gives no more memory or the environment is being torn down.
  std::optional<BatchWriter> Begin(Napi::Env env);

  // The slot and index behind a descriptor's number; null for a number that is
  // not in use (never handed out, or beyond the ring).
  Slot* Find(uint32_t number, uint32_t* index);

  // `count` descriptors of the slot that holds `number` were released.
  void Release(uint32_t number, uint32_t count);

  Napi::Value SlotMemory(Napi::Env env, uint32_t slot) const;
  uint32_t slots() const { return static_cast<uint32_t>(slots_.size()); }
  uint64_t live() const;

 private:
  static constexpr uint32_t kMinimumRoom = 64;

  bool Append(Napi::Env env);
  void Retire(uint32_t slot);

  Napi::FunctionReference make_;
  std::deque<Slot> slots_;  // grows without moving a slot
  std::vector<uint32_t> free_;
  uint32_t current_ = UINT32_MAX;
};

}  // namespace devmem
