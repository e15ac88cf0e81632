#include "receive/frag_ring.h"

#include "support/shared_memory.h"

namespace devmem {

std::optional<BatchWriter> FragRing::Begin(Napi::Env env) {
  bool full = current_ == UINT32_MAX || kSlotCapacity - slots_[current_].used < kMinimumRoom;
  if (full) {
    uint32_t previous = current_;
    if (free_.empty() && !Append(env)) return std::nullopt;
    current_ = free_.back();
    free_.pop_back();
    if (previous != UINT32_MAX && slots_[previous].live == 0) Retire(previous);
  }
  Slot& slot = slots_[current_];
  return BatchWriter(slot, current_ * kSlotCapacity + slot.used);
}

bool FragRing::Append(Napi::Env env) {
  if (make_.IsEmpty()) return false;
  Napi::Value made;
  Napi::Value size = Napi::Number::New(env, kSlotBytes / sizeof(double));
  if (!make_.Call({size}).UnwrapTo(&made)) {
    // The maker was tampered with; there is nobody to tell but by the failure.
    if (env.IsExceptionPending()) env.GetAndClearPendingException();
    return false;
  }
  auto* memory = SharedMemory<uint8_t>(made, kSlotBytes);
  if (memory == nullptr) return false;
  Slot& slot = slots_.emplace_back();
  slot.offsets = reinterpret_cast<double*>(memory + kOffsets);
  slot.sizes = reinterpret_cast<uint32_t*>(memory + kSizes);
  slot.sources = reinterpret_cast<uint32_t*>(memory + kSources);
  slot.own = std::make_unique<uint32_t[]>(3 * kSlotCapacity);
  slot.tokens = slot.own.get();
  slot.pages = slot.tokens + kSlotCapacity;
  slot.owners = slot.pages + kSlotCapacity;
  slot.memory = Napi::Persistent(made.As<Napi::TypedArray>());
  free_.push_back(slots() - 1);
  return true;
}

void FragRing::Retire(uint32_t slot) {
  slots_[slot].used = 0;
  free_.push_back(slot);
}

Slot* FragRing::Find(uint32_t number, uint32_t* index) {
  uint32_t slot = number / kSlotCapacity;
  *index = number % kSlotCapacity;
  if (slot >= slots_.size() || *index >= slots_[slot].used) return nullptr;
  return &slots_[slot];
}

void FragRing::Release(uint32_t number, uint32_t count) {
  uint32_t index = number / kSlotCapacity;
  Slot& slot = slots_[index];
  slot.live -= count;
  if (slot.live > 0) return;
  // The current slot simply starts over; nobody holds any of it.
  if (index == current_) {
    slot.used = 0;
  } else {
    Retire(index);
  }
}

Napi::Value FragRing::SlotMemory(Napi::Env env, uint32_t slot) const {
  if (slot >= slots_.size()) return env.Undefined();
  return slots_[slot].memory.Value();
}

uint64_t FragRing::live() const {
  uint64_t live = 0;
  for (const Slot& slot : slots_) live += slot.live;
  return live;
}

}  // namespace devmem
