#include "queue/fragment_ring.h"

namespace devmem {

namespace {

// Reads a field once: what is looked at and what is used are the same, whoever else writes.
template <typename T>
T ReadOnce(const T& from) {
  return __atomic_load_n(&from, __ATOMIC_RELAXED);
}

}  // namespace

void FragmentRing::Attach(uapi::DevmemQueueMap* map, const uapi::DevmemQueueFragment* entries,
                          uint32_t size) {
  map_ = map;
  entries_ = entries;
  size_ = size;
  consumer_ = __atomic_load_n(&map_->fragment_producer, __ATOMIC_ACQUIRE);
  Offer(0);
}

// A store with release semantics: the kernel, which acquires it, writes to entries only after
// they were read here.
void FragmentRing::Offer(uint32_t entries) {
  __atomic_store_n(&map_->fragment_consumer, consumer_ - (size_ - entries), __ATOMIC_RELEASE);
}

// The kernel stores its count with release semantics, after the entries before it. So the
// load here acquires: those entries are whole.
uint32_t FragmentRing::Written() const {
  return __atomic_load_n(&map_->fragment_producer, __ATOMIC_ACQUIRE) - consumer_;
}

uapi::DevmemQueueFragment FragmentRing::Take() {
  const uapi::DevmemQueueFragment& from = entries_[consumer_++ & (size_ - 1)];
  return {ReadOnce(from.frag_offset),
          ReadOnce(from.frag_size),
          ReadOnce(from.frag_token),
          ReadOnce(from.dmabuf_id),
          ReadOnce(from.cookie),
          ReadOnce(from.flags),
          0};
}

}  // namespace devmem
