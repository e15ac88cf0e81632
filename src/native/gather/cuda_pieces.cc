#include "gather/cuda_pieces.h"

#include <algorithm>

namespace devmem {

namespace {

// A warp reads 2 KiB at once: less than two such rounds are not worth a warp.
constexpr uint64_t kSmallest = 4096;

// So large that each fragment's last piece and all whole ones have room.
uint64_t PieceSize(const Fragments& fragments, size_t room) {
  uint64_t whole = room - fragments.sizes.size();
  uint64_t size = (fragments.length + whole - 1) / whole;
  // Of whole units, so that the pieces of a fragment are aligned alike.
  return std::max(kSmallest, (size + 15) / 16 * 16);
}

}  // namespace

std::optional<uint32_t> CutIntoPieces(const Fragments& fragments, uint64_t source, uint64_t bound,
                                      uint64_t target, std::span<Piece> pieces) {
  if (fragments.sizes.size() >= pieces.size()) return std::nullopt;
  const uint64_t limit = PieceSize(fragments, pieces.size());
  if (limit > UINT32_MAX) return std::nullopt;
  uint32_t count = 0;
  bool inside = ForEachFragment(fragments, bound, [&](uint64_t offset, uint64_t size) {
    for (uint64_t done = 0; done < size;) {
      uint64_t part = std::min(size - done, limit);
      pieces[count++] = {source + offset + done, target, static_cast<uint32_t>(part), 0};
      done += part;
      target += part;
    }
  });
  return inside ? std::optional(count) : std::nullopt;
}

}  // namespace devmem
