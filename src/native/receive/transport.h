// How fragments come out of a socket and go back. One implementation per way
// of receiving; it knows the frag ring, but neither JavaScript nor the poll.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace devmem {

class BatchWriter;
struct SlotColumns;

// What a receiver counts, in native memory that JavaScript reads as a
// Float64Array. The order is part of the contract with src/ts/native.ts.
struct Counters {
  double wakes = 0;            // times the event loop found the socket readable
  double receive_calls = 0;    // recvmsg or recv calls
  double batches = 0;          // batches handed to JavaScript
  double frags = 0;            // fragments in them
  double device_bytes = 0;     // bytes that the NIC wrote to the dma-buf
  double linear_bytes = 0;     // bytes that came through the kernel's own memory
  double copied_bytes = 0;     // bytes that the copy transport wrote to memory
  double tokens_taken = 0;     // fragments that the kernel counts as held
  double tokens_returned = 0;  // fragments that the kernel said it freed
  double tokens_missed = 0;    // fragments given back that the kernel did not know
  double return_calls = 0;     // SO_DEVMEM_DONTNEED calls
  double return_errors = 0;    // of those, the ones that failed
  double stalls = 0;           // times reading stopped for want of free memory
};
inline constexpr size_t kCounterCount = sizeof(Counters) / sizeof(double);

// The memory that a binding's sockets share, in bytes. `held` is what fragments
// in use keep from the NIC (or from the copy transport); reading stops where it
// would pass `limit`; it changes by multiples of `unit`, the binding's rx page (or
// the arena's chunk). Lives in a Float64Array that JavaScript reads.
struct Credits {
  double held = 0;
  double limit = 0;
  double unit = 0;
};
inline constexpr size_t kCreditCount = sizeof(Credits) / sizeof(double);

struct FillResult {
  int error = 0;              // -errno; fragments before it are valid
  bool end = false;           // the peer sent all it will
  bool stalled = false;       // no memory free: reading must wait for a release
  bool drained = false;       // a call said that nothing is left
  uint64_t bytes = 0;         // of the stream, read by all calls
  uint64_t linear_bytes = 0;  // of those, in scratch memory, to be handed over with the batch
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Reads what is there, bounded by the writer's room and a byte budget: until a call
  // says that nothing is left, or else until one seems to have given all there was.
  virtual FillResult Fill(int socket, BatchWriter& out, bool until_drained) = 0;

  // Marks `count` descriptors from `index` on as released and takes their memory off the
  // credits. Their tokens, of those that have one, are added to `tokens`, for Release.
  // Returns how many were not released before.
  virtual uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count,
                         std::vector<uint32_t>& tokens) = 0;

  // Gives fragments back. May reorder `tokens`. Returns -errno of a failed
  // return, or 0.
  virtual int Release(int socket, std::span<uint32_t> tokens) = 0;
};

}  // namespace devmem
