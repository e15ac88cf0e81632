// Filling and giving back: how fragments come out of one socket, and return. One
// implementation per way of receiving; it knows slots and pools, but neither JavaScript
// nor who waits for the socket (channel.h).
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>

#include "receive/counters.h"
#include "receive/pool.h"

namespace devmem {

class BatchWriter;
struct SlotColumns;

// How to read.
struct FillOrder {
  Demand demand = Demand::kWaiting;
  // Until a call says that nothing is left, or else until one seems to have given all.
  bool until_drained = false;
};

// What a read gave, besides descriptors.
struct FillResult {
  int error = 0;                 // -errno; fragments before it are valid
  bool end = false;              // the peer sent all it will
  bool short_of_memory = false;  // the pool lets this socket take no more for now
  bool drained = false;          // a call said that nothing is left
  bool spent = false;            // it stopped for the budget alone: more is there, most likely
  uint64_t bytes = 0;            // of the stream, read by all calls
  uint64_t linear_bytes = 0;     // of those, in scratch memory, to be handed over with the batch
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Fragments may lie in this pool too, which outlives the transport. 0, or -errno:
  // -EEXIST for one that is there already, -EINVAL for one that cannot serve: its id is a
  // mark (batch_writer.h IsMark), or the transport takes no such memory.
  virtual int Join(Pool& pool) = 0;
  // Is a member of its pools no longer: nothing more is read.
  virtual void Leave() = 0;

  // Readies a socket, before anything is read of it or given back to it.
  virtual void Attach(int socket) { (void)socket; }
  // Nothing is read of it or given back to it any more.
  virtual void Detach(int socket) { (void)socket; }
  // Whether fragments go back by the thread's token queue: so from Attach() on, for good.
  virtual bool Queued() const { return false; }

  // Reads what is there, bounded by the writer's room and a budget of bytes.
  virtual FillResult Fill(int socket, BatchWriter& out, const FillOrder& order) = 0;

  // Whether bytes can be read to any memory of this process.
  virtual bool CanFillInto() const { return false; }
  // Reads what is there to such memory, one byte at least, bounded by a budget of bytes.
  virtual FillResult FillInto(int socket, std::span<uint8_t> space, const FillOrder& order) {
    (void)socket, (void)space, (void)order;
    return {.error = -EOPNOTSUPP};
  }

  // Marks `count` descriptors from `index` on as released. Returns how many were not
  // before; the others, and those in memory that is not this socket's, are left alone.
  virtual uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count) = 0;
  // Gives back `size` bytes of a descriptor from its byte `at` on, none of which was before.
  // All others of it have to be given back like that then, and the descriptor at last.
  // False where it has no such bytes, or the transport gives back whole ones only.
  virtual bool UnpinPart(SlotColumns& slot, uint32_t index, uint32_t at, uint32_t size) {
    (void)slot, (void)index, (void)at, (void)size;
    return false;
  }
  // Gives back what was unpinned since the last call. -errno of a failed return, or 0.
  virtual int Return(int socket) = 0;

  // Whether the memory of all pools suffices to read on after it did not.
  virtual bool Replenished() const = 0;
  // Whether any page is free to read into.
  virtual bool HasRoom() const = 0;
  // Whether all that is held of the pools is this socket's.
  virtual bool HoldsAll() const = 0;
};

}  // namespace devmem
