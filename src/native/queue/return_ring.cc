#include "queue/return_ring.h"

namespace devmem {

void ReturnRing::Attach(uapi::DevmemQueueMap* map, uapi::DevmemQueueReturn* entries,
                        uint32_t size) {
  map_ = map;
  entries_ = entries;
  size_ = size;
  producer_ = Consumer();
}

// The kernel stores its count, with release semantics, after it has read the entries before
// it. So the load here acquires: what is written to an entry from here on is written after
// the kernel has read what was there.
bool ReturnRing::Put(uint32_t cookie, uint32_t start, uint32_t count) {
  // Unsigned, so that a count that cannot be is a large difference, too.
  if (map_ == nullptr || producer_ - Consumer() >= size_) return false;
  entries_[producer_++ & (size_ - 1)] = {cookie, start, count, 0};
  return true;
}

// A store with release semantics: who sees the count (the kernel, which acquires) sees the
// entries before it whole.
void ReturnRing::Publish() {
  if (map_ != nullptr) __atomic_store_n(&map_->return_producer, producer_, __ATOMIC_RELEASE);
}

}  // namespace devmem
