// The ring by which the kernel tells of fragments, in memory that both share. It writes there
// during recvmsg, on behalf of the socket that is read; nobody else is to.
#pragma once

#include <cstdint>

#include "uapi/devmem_queue.h"

namespace devmem {

class FragmentRing {
 public:
  // As the kernel made it, empty. `size` entries, a power of two.
  void Attach(uapi::DevmemQueueMap* map, const uapi::DevmemQueueFragment* entries, uint32_t size);
  void Detach() { map_ = nullptr; }
  bool attached() const { return map_ != nullptr; }
  uint32_t size() const { return size_; }

  // Lets the kernel write so many entries at most, until the next call of this. It takes the
  // others for unread, and with none (0) the ring for full, whoever reads one of the sockets.
  void Offer(uint32_t entries);
  // How many it has written that were not taken, as far as what it says can be believed.
  uint32_t Written() const;
  // The next of them: a copy.
  uapi::DevmemQueueFragment Take();

 private:
  uapi::DevmemQueueMap* map_ = nullptr;
  const uapi::DevmemQueueFragment* entries_ = nullptr;
  uint32_t size_ = 0;
  uint32_t consumer_ = 0;  // entries taken; wraps. What the mapping has of it is the kernel's
};

}  // namespace devmem
