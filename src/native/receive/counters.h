// What a receiver counts, in shared memory that JavaScript reads as a Float64Array.
#pragma once

#include <array>
#include <cstddef>

namespace devmem {

// Field, its name in JavaScript. The addon exports the names in this order, so that no
// second list has to agree with it.
#define DEVMEM_COUNTERS(COUNTER)                                                            \
  COUNTER(wakes, "wakes")                    /* the event loop found the socket readable */ \
  COUNTER(receive_calls, "receiveCalls")     /* recvmsg or recv calls, or requests */       \
  COUNTER(batches, "batches")                /* handed to JavaScript */                     \
  COUNTER(frags, "fragments")                /* in them */                                  \
  COUNTER(device_bytes, "deviceBytes")       /* that the NIC wrote to the dma-buf */        \
  COUNTER(linear_bytes, "linearBytes")       /* that came through the kernel's memory */    \
  COUNTER(copied_bytes, "copiedBytes")       /* that the copy transport wrote */            \
  COUNTER(tokens_taken, "tokensTaken")       /* fragments that the kernel counts as held */ \
  COUNTER(tokens_returned, "tokensReturned") /* that the kernel said it freed */            \
  COUNTER(tokens_missed, "tokensMissed")     /* given back, and unknown to the kernel */    \
  COUNTER(return_calls, "returnCalls")       /* SO_DEVMEM_DONTNEED calls, or their like */  \
  COUNTER(return_errors, "returnErrors")     /* of those, the ones that failed */           \
  COUNTER(stalls, "stalls")                  /* reading stopped for want of free memory */

struct Counters {
#define DEVMEM_FIELD(field, name) double field = 0;
  DEVMEM_COUNTERS(DEVMEM_FIELD)
#undef DEVMEM_FIELD
};

#define DEVMEM_NAME(field, name) name,
inline constexpr std::array kCounterNames = {DEVMEM_COUNTERS(DEVMEM_NAME)};
#undef DEVMEM_NAME

static_assert(sizeof(Counters) == kCounterNames.size() * sizeof(double));

}  // namespace devmem
