/*
 * The gather kernel's own source, run on the CPU, one lane after the other: what it does
 * to memory is the same in any order, as no two pieces are written to the same place.
 */
#include "double.h"

struct Index {
  unsigned x;
};
static thread_local Index gridDim, blockDim, blockIdx, threadIdx;

#define KERNEL static
#define DEVICE
#define GLOBAL_MEMORY
#include "../../../src/native/gather/gather.cu"

static_assert(sizeof(Piece) == sizeof(piece));

void run_kernel(const piece *pieces, uint32_t count, unsigned blocks, unsigned threads) {
  gridDim.x = blocks;
  blockDim.x = threads;
  for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
    for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) {
      devmem_gather(reinterpret_cast<const Piece *>(pieces), count);
    }
  }
}
