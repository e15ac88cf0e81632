// Host memory that the copy transport receives into, shared by all sockets of a binding.
//
// The memory is made of chunks of pages. A page belongs to one socket as long as any byte
// that it holds lies there, so that what a socket keeps, no other one pays for. Of a
// fragment, parts can be given back: what is kept of it keeps its own pages only. Sockets
// fill the current chunk one after the other; free chunks are used last in, first out: the
// one most likely still in the cache. What is kept here grows with the memory in use, not
// with its size.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "receive/page_set.h"

namespace devmem {

class CopyArena {
 public:
  static constexpr uint32_t kPageShift = 12;
  static constexpr uint64_t kPage = 1 << kPageShift;

  // A socket's place in the arena: the end of what it read last.
  struct Tail {
    uint64_t end = 0;   // bytes from the start; in a page of the socket's while `live`
    uint32_t hint = 0;  // bytes that were read last
    bool live = false;
  };

  // The most that one fragment can have, in bytes: it lies in one chunk.
  static constexpr uint32_t kMostBytes = PageSet::kPages << kPageShift;
  // Bytes of the memory that are used at most.
  static constexpr uint64_t kMostMemory = uint64_t{1} << 43;

  // `memory`, which `owner` keeps mapped, has a page at least.
  CopyArena(std::span<uint8_t> memory, std::shared_ptr<void> owner);

  // Free memory in one piece for the socket to read into, in at most `pages` pages that
  // it has not yet. Empty where there is none.
  std::span<uint8_t> Space(const Tail& tail, uint64_t pages);

  struct Taken {
    uint64_t offset;  // bytes from the start
    uint32_t fresh;   // pages that it lies in and that were free before
  };
  // The first `size` bytes of the last Space(), one at least, are a fragment of the
  // socket's.
  Taken Take(Tail& tail, uint32_t size);

  // Whether anything was ever taken from where this offset is.
  bool Used(uint64_t offset) const { return ChunkOf(offset) < chunks_.size(); }

  // Bytes of a fragment of the socket's, each of which was not released before, are held
  // no longer. Returns how many pages became free.
  uint32_t Release(Tail& tail, uint64_t offset, uint32_t size);

 private:
  // A call that reads as much as there is costs the least: TCP answers each with an
  // acknowledgement of its own.
  static constexpr uint32_t kChunkPages = PageSet::kPages;
  // What is read into while other chunks are free.
  static constexpr uint64_t kPlenty = (uint64_t{kChunkPages} << kPageShift) / 8;
  // What makes a call worth its cost, where there is no more to expect.
  static constexpr uint64_t kWorthwhile = 16 << 10;

  struct Chunk {
    PageSet free;
    uint16_t held[kChunkPages] = {};  // bytes of each page
  };
  struct Run {
    uint64_t page = 0;
    uint32_t pages = 0;
  };

  static uint64_t ChunkOf(uint64_t offset) { return (offset >> kPageShift) / kChunkPages; }
  template <typename Visit>
  static void EachPage(uint64_t offset, uint32_t size, Visit visit);
  uint32_t PagesOf(uint64_t chunk) const;
  // The free pages from `page` on, within its chunk.
  uint32_t FreeFrom(uint64_t page) const;
  Run LongestRun(uint64_t chunk) const;
  Run NextRun();
  Run AnyRun();
  bool TakeFreeChunk();
  bool WhollyFree(uint64_t chunk) const;

  static constexpr uint64_t kNoChunk = UINT64_MAX;

  std::span<uint8_t> memory_;
  std::shared_ptr<void> owner_;
  uint64_t pages_;
  std::vector<Chunk> chunks_;   // those that were ever used
  std::vector<uint32_t> free_;  // chunks wholly free, but for the current one
  uint64_t current_ = kNoChunk;
  uint64_t searched_ = 0;  // where the last search among chunks in part free ended
  uint64_t space_ = 0;     // where the last Space() begins
};

}  // namespace devmem
