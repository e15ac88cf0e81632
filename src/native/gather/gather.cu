// Gathers scattered pieces of memory, a warp for each piece: what the GPU runs. It is
// shipped as PTX text (gather.ptx, embedded by cuda_gather_ptx.h), which the driver
// compiles for the GPU that it finds: Maxwell (sm_50) or later, with a driver of CUDA 9
// or later (PTX 6.0). After a change here:
//
//   node scripts/ptx.mjs
//
// It needs clang 14 or newer, since nvcc 13 makes no PTX for GPUs as old. The tests run
// this file on the CPU, too (test/host/cuda/kernel.cc), which declares below what CUDA
// has built in.
#include <cstdint>

#ifdef __CUDA__
#include <__clang_cuda_builtin_vars.h>
#define KERNEL extern "C" __attribute__((global))
#define DEVICE __attribute__((device))
#define GLOBAL_MEMORY __attribute__((address_space(1)))
#endif

// As in cuda_pieces.h.
struct Piece {
  uint64_t source;
  uint64_t target;
  uint32_t size;  // bytes
  uint32_t unused;
};

namespace {

constexpr uint32_t kLanes = 32;

using Bytes16 = uint32_t __attribute__((vector_size(16)));

// Pieces lie in global memory (the GPU's own, or the host's that it maps), which the
// compiler cannot know of an address that it is given as a number.
template <typename Unit>
using Global = GLOBAL_MEMORY Unit;

// Neighbouring lanes take neighbouring units, so that a warp reads and writes whole
// lines. Four loads are under way before the first is waited for.
template <typename Unit>
DEVICE void CopyUnits(uint64_t target, uint64_t source, uint32_t count, uint32_t lane) {
  auto* to = reinterpret_cast<Global<Unit>*>(target);
  auto* from = reinterpret_cast<const Global<Unit>*>(source);
  uint32_t i = lane;
  for (; i + 3 * kLanes < count; i += 4 * kLanes) {
    Unit first = from[i];
    Unit second = from[i + kLanes];
    Unit third = from[i + 2 * kLanes];
    Unit fourth = from[i + 3 * kLanes];
    to[i] = first;
    to[i + kLanes] = second;
    to[i + 2 * kLanes] = third;
    to[i + 3 * kLanes] = fourth;
  }
  for (; i < count; i += kLanes) to[i] = from[i];
}

// For places that lie alike within a unit: bytes up to the first whole unit, units, and
// the bytes that are left.
template <typename Unit>
DEVICE void CopyBy(uint64_t target, uint64_t source, uint32_t size, uint32_t lane) {
  uint32_t head = static_cast<uint32_t>(-target) % sizeof(Unit);
  if (head > size) head = size;
  uint32_t units = (size - head) / sizeof(Unit);
  uint32_t tail = head + units * sizeof(Unit);
  CopyUnits<uint8_t>(target, source, head, lane);
  CopyUnits<Unit>(target + head, source + head, units, lane);
  CopyUnits<uint8_t>(target + tail, source + tail, size - tail, lane);
}

}  // namespace

KERNEL void devmem_gather(const Piece* pieces, uint32_t count) {
  uint32_t warps = gridDim.x * blockDim.x / kLanes;
  uint32_t lane = threadIdx.x % kLanes;
  for (uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) / kLanes; i < count; i += warps) {
    const Piece piece = pieces[i];
    uint64_t unlike = piece.source ^ piece.target;
    if (unlike % 16 == 0) {
      CopyBy<Bytes16>(piece.target, piece.source, piece.size, lane);
    } else if (unlike % 8 == 0) {
      CopyBy<uint64_t>(piece.target, piece.source, piece.size, lane);
    } else if (unlike % 4 == 0) {
      CopyBy<uint32_t>(piece.target, piece.source, piece.size, lane);
    } else if (unlike % 2 == 0) {
      CopyBy<uint16_t>(piece.target, piece.source, piece.size, lane);
    } else {
      CopyUnits<uint8_t>(piece.target, piece.source, piece.size, lane);
    }
  }
}
