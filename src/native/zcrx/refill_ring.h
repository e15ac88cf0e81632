// Where buffers are given back: a ring that the NIC's page pool takes from when it needs
// some (io_uring/zcrx.c io_zcrx_ring_refill), so that giving back costs no system call.
// What finds no place waits in a list: an entry that is lost is memory lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "uapi/io_uring.h"

namespace devmem {

class RefillRing {
 public:
  // Offsets into buffers count in these, whatever a buffer's size: so a number of 32 bits
  // names one in any area.
  static constexpr uint32_t kUnitShift = 12;

  // `region` is shared with the kernel, which has said where in it what is.
  void Attach(uint8_t* region, const uapi::ZcrxOffsets& offsets, uint32_t entries,
              uint64_t area_token);
  // Nobody takes any more.
  void Detach();
  bool attached() const { return tail_shared_ != nullptr; }

  // Gives back one reference to the buffer that contains this unit.
  void Add(uint32_t unit);
  // Shows the kernel what was added. Whether all found a place.
  bool Publish();
  size_t waiting() const { return waiting_.size(); }

 private:
  bool Put(uint32_t unit);

  const uint32_t* head_ = nullptr;
  uint32_t* tail_shared_ = nullptr;
  uapi::ZcrxRqe* entries_ = nullptr;
  uint32_t size_ = 0;
  uint64_t area_token_ = 0;
  uint32_t tail_ = 0;
  std::vector<uint32_t> waiting_;
};

}  // namespace devmem
