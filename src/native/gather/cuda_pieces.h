// What is to be gathered, cut into pieces of which each is a warp's work.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace devmem {

// Read by the kernel; as in gather.cu.
struct Piece {
  uint64_t source;  // addresses, as the GPU has them
  uint64_t target;
  uint32_t size;  // bytes
  uint32_t unused;
};
static_assert(sizeof(Piece) == 24);

// A stretch of the stream: fragments, of which the first and the last may be cut.
struct Fragments {
  std::span<const double> offsets;  // bytes from the start of the memory that they lie in
  std::span<const uint32_t> sizes;  // bytes
  uint64_t skip;                    // bytes of the first that do not belong to it
  uint64_t length;                  // bytes, of all that do
};

// Calls `each(offset, size)` for what of each fragment belongs to the stretch. False
// where a fragment does not lie in memory of `bound` bytes, or they have fewer bytes
// than `length`; some may have been seen by then. JavaScript can write to the columns,
// so each number is read once.
template <typename Each>
bool ForEachFragment(const Fragments& fragments, uint64_t bound, Each each) {
  uint64_t skip = fragments.skip;
  uint64_t left = fragments.length;
  for (size_t i = 0; i < fragments.sizes.size() && left > 0; i++) {
    double start = fragments.offsets[i];
    uint64_t size = fragments.sizes[i];
    if (!(start >= 0 && start + static_cast<double>(size) <= static_cast<double>(bound))) {
      return false;
    }
    if (skip > size) return false;
    uint64_t offset = static_cast<uint64_t>(start) + skip;
    size -= skip;
    skip = 0;
    if (size > left) size = left;
    left -= size;
    if (size > 0) each(offset, size);
  }
  return left == 0;
}

// Cuts fragments of memory at `source` (of `bound` bytes), bound for `target`, into
// pieces; their number, or nothing as above. There has to be room for more pieces than
// there are fragments: the more room, the smaller the pieces of a large fragment.
std::optional<uint32_t> CutIntoPieces(const Fragments& fragments, uint64_t source, uint64_t bound,
                                      uint64_t target, std::span<Piece> pieces);

}  // namespace devmem
