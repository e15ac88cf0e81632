// Parses the control messages of recvmsg(MSG_SOCK_DEVMEM).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "receive/pool.h"
#include "uapi/devmem.h"

namespace devmem {

class BatchWriter;

// A pool in which a socket's fragments may lie, with what the socket holds of it. The
// pool's terms are copied here, where parsing has them at hand.
struct Source {
  Source(Pool& of, Account& charged)
      : id(of.id()), page_shift(of.page_shift()), size(of.size()), pool(&of), account(&charged) {}

  uint32_t id;
  uint32_t page_shift;
  uint64_t size;  // bytes
  Pool* pool;
  Account* account;
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

// Appends one descriptor per record in `control`, in order, and charges the socket's account
// with their sources for the pages that they hold. `received` is what
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

// The same for records that were told of otherwise, and none of which may be left out.
struct ToldRecord {
  uapi::DmabufCmsg record;
  bool linear;  // of which only the size is meant
};
int AddRecords(std::span<const ToldRecord> told, uint64_t received, uint64_t linear_offset,
               std::span<const Source> sources, BatchWriter& out, RecordTotals& totals);

}  // namespace devmem
