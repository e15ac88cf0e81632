// One rx queue whose buffers are pieces of a dma-buf, by io_uring (an "ifq" in the kernel's
// words): the ring that it belongs to, its registration, and giving buffers back.
//
// The kernel unregisters it with the ring alone, so each has a ring of its own.
#pragma once

#include <cstdint>

#include "zcrx/refill_ring.h"
#include "zcrx/ring.h"

namespace devmem {

class Ifq {
 public:
  struct Request {
    uint32_t interface_index;
    uint32_t queue;
    int dmabuf;
    uint64_t size;         // bytes, of all of the dma-buf
    uint32_t buffer_size;  // bytes; 0: the kernel's, a page
    bool events;           // whether the kernel can tell of running dry
  };

  ~Ifq() { Close(); }

  // Makes the ring. 0 or -errno of io_uring_setup(2).
  int Open();
  // 0 or -errno of io_uring_register(2).
  int Register(const Request& request);
  void Close();

  bool registered() const { return refill_.attached(); }
  Ring& ring() { return ring_; }
  // Whether requests wait for the kernel to take them.
  bool pending() const { return ring_.pending() > 0; }
  uint32_t id() const { return id_; }

  // Gives back a reference to the buffer at this offset.
  void GiveBack(uint32_t unit) { refill_.Add(unit); }
  // Shows the kernel what was given back. Where the ring is full for want of a NIC that
  // takes from it, the kernel is asked to. How many calls that took, or -errno.
  int Publish();
  // Has the kernel tell once more when the memory runs dry.
  void ArmAllocFail();

  // user_data of the completion that tells of it.
  static constexpr uint64_t kAllocFail = 3;

 private:
  int Control(uint32_t op, uint32_t event);

  Ring ring_;
  Mapped region_;
  RefillRing refill_;
  uint32_t id_ = 0;
};

}  // namespace devmem
