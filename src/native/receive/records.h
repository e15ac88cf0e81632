// Parses the control messages of recvmsg(MSG_SOCK_DEVMEM).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace devmem {

class BatchWriter;
struct Credits;

// A dma-buf from which fragments may come: a binding's id, its size, and what of
// it may be held.
struct Source {
  uint32_t id;
  uint64_t size;  // bytes
  Credits* credits = nullptr;
  uint32_t page_shift = 12;  // of its rx pages' size, a power of two
};

// The pages that a fragment, never empty, keeps from the NIC: whole ones of the dma-buf.
inline uint32_t PagesHeld(uint64_t offset, uint32_t size, uint32_t page_shift) {
  return static_cast<uint32_t>(((offset + size - 1) >> page_shift) - (offset >> page_shift) + 1);
}

// The source of this id, or null, which a mark of the source column always gets. There
// are very few, and mostly it is the first.
const Source* FindSource(std::span<const Source> sources, uint32_t id);

struct RecordTotals {
  uint64_t device_bytes = 0;
  uint64_t linear_bytes = 0;
  uint32_t device_frags = 0;
};

// Appends one descriptor per record in `control`, in order, and charges the credits of
// their sources with the pages that they hold. `received` is what
// recvmsg returned, `linear_offset` where this call's linear bytes begin among
// the batch's. With no devmem record at all the bytes were readable and become
// one linear fragment.
//
// The kernel is believed in nothing: a length that leaves the buffer, an unknown
// dma-buf, a range outside it, or totals that differ from `received` give
// -EBADMSG. Descriptors added up to then stay in `out` and charged, for their tokens to
// be returned; none of them reaches JavaScript.
int ParseRecords(std::span<const uint8_t> control, uint64_t received, uint64_t linear_offset,
                 std::span<const Source> sources, BatchWriter& out, RecordTotals& totals);

}  // namespace devmem
