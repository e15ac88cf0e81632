// The frag ring: where fragment descriptors pass from C++ to JavaScript.
//
// It is made of slots, each a column store of kSlotCapacity descriptors in one
// ArrayBuffer that JavaScript reads through typed arrays:
//
//   offset  float64  bytes from the start of the dma-buf (or of the linear bytes)
//   size    uint32   bytes
//   token   uint32   what gives the fragment back
//   source  uint32   dmabuf id; 0: linear; kReleasedSource: given back
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
#include <optional>
#include <vector>

namespace devmem {

inline constexpr uint32_t kSlotCapacity = 1024;
inline constexpr uint32_t kLinearSource = 0;
inline constexpr uint32_t kReleasedSource = 0xffffffff;

struct Slot {
  double* offsets = nullptr;
  uint32_t* sizes = nullptr;
  uint32_t* tokens = nullptr;
  uint32_t* sources = nullptr;
  uint32_t used = 0;  // descriptors handed out since the slot was last empty
  uint32_t live = 0;  // of those, the ones not released yet
  Napi::Reference<Napi::ArrayBuffer> memory;
};

// Writes descriptors at the end of the current slot.
class BatchWriter {
 public:
  BatchWriter(Slot& slot, uint32_t first_number)
      : slot_(slot), begin_(slot.used), end_(slot.used), first_number_(first_number) {}

  uint32_t room() const { return kSlotCapacity - end_; }
  uint32_t count() const { return end_ - begin_; }
  uint32_t first_number() const { return first_number_; }

  // The caller has checked room().
  void Add(uint64_t offset, uint32_t size, uint32_t token, uint32_t source) {
    slot_.offsets[end_] = static_cast<double>(offset);
    slot_.sizes[end_] = size;
    slot_.tokens[end_] = token;
    slot_.sources[end_] = source;
    end_++;
  }

  // Takes back what was added after the batch held `count` descriptors.
  void Truncate(uint32_t count) { end_ = begin_ + count; }
  // Of the batch's descriptor `index`.
  uint64_t offset(uint32_t index) const {
    return static_cast<uint64_t>(slot_.offsets[begin_ + index]);
  }
  uint32_t size(uint32_t index) const { return slot_.sizes[begin_ + index]; }
  uint32_t token(uint32_t index) const { return slot_.tokens[begin_ + index]; }
  uint32_t source(uint32_t index) const { return slot_.sources[begin_ + index]; }

  // Hands the batch out: its descriptors now wait for their release.
  void Commit() {
    slot_.live += count();
    slot_.used = end_;
  }

 private:
  Slot& slot_;
  uint32_t begin_;
  uint32_t end_;
  uint32_t first_number_;
};

class FragRing {
 public:
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

  std::deque<Slot> slots_;  // grows without moving a slot
  std::vector<uint32_t> free_;
  uint32_t current_ = UINT32_MAX;
};

}  // namespace devmem
