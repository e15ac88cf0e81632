// The ring by which tokens go back to the kernel, in memory that both share: entries
// written here, and read by the kernel when it comes by.
#pragma once

#include <cstdint>

#include "uapi/devmem_queue.h"

namespace devmem {

class ReturnRing {
 public:
  // As the kernel made it, empty. `size` entries, a power of two.
  void Attach(uapi::DevmemQueueMap* map, uapi::DevmemQueueReturn* entries, uint32_t size);
  void Detach() { map_ = nullptr; }

  // Writes an entry, which the kernel sees from the next Publish() on. False where there is
  // no room, or where the kernel's count is none that it could have come to: somebody else
  // has written there, and nothing tells which entries are free.
  bool Put(uint32_t cookie, uint32_t start, uint32_t count);
  void Publish();

  // Whether there are entries that the kernel has not taken up.
  bool Pending() const { return map_ != nullptr && Consumer() != producer_; }

 private:
  uint32_t Consumer() const { return __atomic_load_n(&map_->return_consumer, __ATOMIC_ACQUIRE); }

  uapi::DevmemQueueMap* map_ = nullptr;
  uapi::DevmemQueueReturn* entries_ = nullptr;
  uint32_t size_ = 0;
  // What the mapping says of this is for the kernel alone, and never read back. It counts
  // entries, wraps, and is ahead of the kernel's count by as many as wait.
  uint32_t producer_ = 0;
};

}  // namespace devmem
