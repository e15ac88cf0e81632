// Which bytes of an arena's memory belong to whom, by what was taken and released; written
// apart from CopyArena, to be held against it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "check.h"
#include "receive/copy_arena.h"

namespace devmem::fuzz {

// What a socket received at once, and has not given back.
struct Piece {
  size_t socket;
  uint64_t offset;
  uint32_t size;
  uint8_t stamp;  // its first and its last byte
};

class ArenaModel {
 public:
  static constexpr uint64_t kPage = CopyArena::kPage;
  static constexpr uint64_t kChunkPages = PageSet::kPages;
  // Free pages in a row beyond which nobody looks for more.
  static constexpr uint64_t kWorthwhilePages = 4;
  static constexpr uint64_t kWorthwhile = kWorthwhilePages * kPage;
  // What of a chunk is worth to go on in while another is free.
  static constexpr uint64_t kPlentyPages = kChunkPages / 8;

  explicit ArenaModel(std::span<uint8_t> memory)
      : memory_(memory), pages_(memory.size() / kPage), chunk_used_(ChunkOf(pages_) + 1) {}

  uint64_t pages() const { return pages_.size(); }
  uint64_t free_pages() const { return pages() - used_pages_; }
  bool IsFree(uint64_t page) const { return pages_[page].pieces == 0; }

  // Pages that a socket has fragments in.
  uint64_t PagesOf(size_t socket) const {
    return static_cast<uint64_t>(std::count_if(pages_.begin(), pages_.end(), [&](const Page& each) {
      return each.pieces > 0 && each.socket == socket;
    }));
  }

  // Free pages from this one on, up to where its chunk ends.
  uint64_t FreeRun(uint64_t page) const {
    uint64_t end = std::min((ChunkOf(page) + 1) * kChunkPages, pages());
    uint64_t at = page;
    while (at < end && IsFree(at)) at++;
    return at - page;
  }
  uint64_t LongestRun() const {
    uint64_t longest = 0;
    for (uint64_t page = 0; page < pages(); page += std::max<uint64_t>(FreeRun(page), 1)) {
      longest = std::max(longest, FreeRun(page));
    }
    return longest;
  }
  uint64_t LastChunkPages() const { return (pages() - 1) % kChunkPages + 1; }

  // Where such a span begins; it lies in the memory.
  uint64_t OffsetOf(std::span<const uint8_t> space) const {
    DEMAND(space.data() >= memory_.data());
    auto offset = static_cast<uint64_t>(space.data() - memory_.data());
    DEMAND(offset <= memory_.size() && space.size() <= memory_.size() - offset);
    return offset;
  }

  // Whether bytes belong to a fragment.
  bool Taken(uint64_t offset, uint64_t size) const {
    auto after = pieces_.lower_bound(offset + size);
    if (after == pieces_.begin()) return false;
    const Piece& before = std::prev(after)->second;
    return before.offset + before.size > offset;
  }

  // What reading into a span would come to: pages that become the socket's. No byte of it
  // is a fragment's, and no page is another socket's.
  uint64_t FreshPages(size_t socket, uint64_t offset, uint64_t size) const {
    if (size == 0) return 0;
    DEMAND(!Taken(offset, size));
    uint64_t fresh = 0;
    for (uint64_t page = offset / kPage; page * kPage < offset + size; page++) {
      DEMAND(IsFree(page) || pages_[page].socket == socket);
      fresh += IsFree(page) ? 1 : 0;
    }
    return fresh;
  }

  // Returns how many pages became the socket's.
  uint64_t Add(const Piece& piece) {
    uint64_t fresh = FreshPages(piece.socket, piece.offset, piece.size);
    pieces_.emplace(piece.offset, piece);
    used_pages_ += fresh;
    uint64_t first = piece.offset / kPage;
    for (uint64_t page = first; page <= LastPage(piece); page++) {
      pages_[page].socket = piece.socket;
      pages_[page].pieces++;
    }
    Touch(ChunkOf(first));
    memory_[piece.offset] = memory_[piece.offset + piece.size - 1] = piece.stamp;
    return fresh;
  }

  // Returns how many pages became free.
  uint64_t Remove(const Piece& piece) {
    DEMAND(memory_[piece.offset] == piece.stamp);
    DEMAND(memory_[piece.offset + piece.size - 1] == piece.stamp);
    pieces_.erase(piece.offset);
    uint64_t freed = 0;
    for (uint64_t page = piece.offset / kPage; page <= LastPage(piece); page++) {
      if (--pages_[page].pieces == 0) freed++;
    }
    used_pages_ -= freed;
    return freed;
  }

  // Of a piece, `size` bytes from its byte `at` on go. Returns how many pages became free,
  // and puts what is left of the piece, which are up to two of their own, behind `rest`.
  uint64_t RemovePart(const Piece& piece, uint32_t at, uint32_t size, std::vector<Piece>& rest) {
    uint64_t before = used_pages_;
    Remove(piece);
    uint32_t end = at + size;
    if (at > 0) rest.push_back({piece.socket, piece.offset, at, piece.stamp});
    if (end < piece.size) {
      rest.push_back({piece.socket, piece.offset + end, piece.size - end, piece.stamp});
    }
    for (size_t i = rest.size() - (at > 0) - (end < piece.size); i < rest.size(); i++) Add(rest[i]);
    return before - used_pages_;
  }

  // Whether there is a chunk that nothing is in.
  bool HasFreeChunk() const {
    for (uint64_t page = 0; page < pages(); page += kChunkPages) {
      if (FreeRun(page) == std::min(kChunkPages, pages() - page)) return true;
    }
    return false;
  }

  // Chunks that anything was ever in; and the most that there was anything in at once.
  uint64_t chunks_touched() const { return chunks_touched_; }
  uint64_t most_chunks() const { return most_chunks_; }

  static uint64_t LastPage(const Piece& piece) { return (piece.offset + piece.size - 1) / kPage; }

 private:
  struct Page {
    size_t socket = 0;
    uint32_t pieces = 0;
  };

  static uint64_t ChunkOf(uint64_t page) { return page / kChunkPages; }
  static uint64_t ChunkOf(const std::vector<Page>& pages) { return ChunkOf(pages.size()); }

  void Touch(uint64_t chunk) {
    if (!chunk_used_[chunk]) chunks_touched_++;
    chunk_used_[chunk] = true;
    uint64_t used = 0;
    for (uint64_t page = 0; page < pages(); page += kChunkPages) {
      uint64_t length = std::min(kChunkPages, pages() - page);
      used += FreeRun(page) < length ? 1 : 0;
    }
    most_chunks_ = std::max(most_chunks_, used);
  }

  std::span<uint8_t> memory_;
  std::vector<Page> pages_;
  std::vector<bool> chunk_used_;
  std::map<uint64_t, Piece> pieces_;  // by their offset
  uint64_t used_pages_ = 0;
  uint64_t chunks_touched_ = 0;
  uint64_t most_chunks_ = 0;
};

}  // namespace devmem::fuzz
