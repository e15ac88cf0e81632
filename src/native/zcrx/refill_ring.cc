#include "zcrx/refill_ring.h"

namespace devmem {

void RefillRing::Attach(uint8_t* region, const uapi::ZcrxOffsets& offsets, uint32_t entries,
                        uint64_t area_token) {
  head_ = reinterpret_cast<uint32_t*>(region + offsets.head);
  tail_shared_ = reinterpret_cast<uint32_t*>(region + offsets.tail);
  entries_ = reinterpret_cast<uapi::ZcrxRqe*>(region + offsets.rqes);
  size_ = entries;
  area_token_ = area_token;
  tail_ = *tail_shared_;
}

void RefillRing::Detach() {
  tail_shared_ = nullptr;
  waiting_.clear();
}

void RefillRing::Add(uint32_t unit) {
  if (!attached()) return;
  // Behind those that wait already, so that none waits for ever.
  if (!waiting_.empty() || !Put(unit)) waiting_.push_back(unit);
}

bool RefillRing::Publish() {
  if (!attached()) return true;
  size_t placed = 0;
  while (placed < waiting_.size() && Put(waiting_[placed])) placed++;
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(placed));
  __atomic_store_n(tail_shared_, tail_, __ATOMIC_RELEASE);
  return waiting_.empty();
}

// The kernel reads an entry before it moves its head past it.
bool RefillRing::Put(uint32_t unit) {
  if (tail_ - __atomic_load_n(head_, __ATOMIC_ACQUIRE) >= size_) return false;
  uapi::ZcrxRqe& entry = entries_[tail_++ & (size_ - 1)];
  entry.off = (uint64_t{unit} << kUnitShift) | area_token_;
  entry.len = 1 << kUnitShift;
  entry.pad = 0;
  return true;
}

}  // namespace devmem
