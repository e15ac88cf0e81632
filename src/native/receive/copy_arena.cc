#include "receive/copy_arena.h"

#include <algorithm>

namespace devmem {

CopyArena::CopyArena(std::span<uint8_t> memory, std::shared_ptr<void> owner)
    : memory_(memory),
      owner_(std::move(owner)),
      pages_(std::min<uint64_t>(memory.size(), kMostMemory) >> kPageShift) {}

// Fewer in the last chunk.
uint32_t CopyArena::PagesOf(uint64_t chunk) const {
  return static_cast<uint32_t>(std::min<uint64_t>(pages_ - chunk * kChunkPages, kChunkPages));
}

bool CopyArena::WhollyFree(uint64_t chunk) const {
  return chunks_[chunk].free.Count() == PagesOf(chunk);
}

uint32_t CopyArena::FreeFrom(uint64_t page) const {
  uint64_t chunk = page / kChunkPages;
  return chunk < chunks_.size() ? chunks_[chunk].free.RunFrom(page % kChunkPages) : 0;
}

CopyArena::Run CopyArena::LongestRun(uint64_t chunk) const {
  PageSet::Run run = chunks_[chunk].free.Longest();
  return {chunk * kChunkPages + run.first, run.count};
}

// Never from a current chunk that is wholly free.
bool CopyArena::TakeFreeChunk() {
  if (!free_.empty()) {
    current_ = free_.back();
    free_.pop_back();
    return true;
  }
  uint64_t next = chunks_.size();
  if (next * kChunkPages >= pages_) return false;
  Chunk& chunk = chunks_.emplace_back();
  for (uint32_t page = 0; page < PagesOf(next); page++) chunk.free.Add(page);
  current_ = next;
  return true;
}

// The current chunk's rest, or another chunk, or what is free among chunks in use. A small
// rest only where there is no other chunk: one that a slow reader's fragments leave would
// cap every call.
CopyArena::Run CopyArena::NextRun() {
  Run rest = current_ == kNoChunk ? Run{} : LongestRun(current_);
  if (rest.pages >= kPlenty >> kPageShift) return rest;
  if (current_ != kNoChunk && WhollyFree(current_)) return rest;
  if (TakeFreeChunk()) return LongestRun(current_);
  return rest.pages >= kWorthwhile >> kPageShift ? rest : AnyRun();
}

// From where the last search ended on, so that pages far behind are not looked at each
// time. The first that is worthwhile; else the longest.
CopyArena::Run CopyArena::AnyRun() {
  Run best;
  for (uint64_t i = 0; i < chunks_.size() && best.pages < kWorthwhile >> kPageShift; i++) {
    searched_ = searched_ + 1 < chunks_.size() ? searched_ + 1 : 0;
    Run run = LongestRun(searched_);
    if (run.pages > best.pages) best = run;
  }
  return best;
}

std::span<uint8_t> CopyArena::Space(const Tail& tail, uint64_t pages) {
  uint64_t size = 0;
  if (tail.live) {
    uint64_t next = (tail.end + kPage - 1) >> kPageShift;
    uint64_t rest = (next << kPageShift) - tail.end;
    size = rest + (std::min<uint64_t>(FreeFrom(next), pages) << kPageShift);
    // Not across chunks: a fragment has neighbours in its own.
    if (next % kChunkPages == 0) size = rest;
    space_ = tail.end;
    if (size > std::min<uint64_t>(tail.hint, kWorthwhile - 1)) return memory_.subspan(space_, size);
  }
  Run run = pages > 0 ? NextRun() : Run{};
  uint64_t other = std::min<uint64_t>(run.pages, pages) << kPageShift;
  if (other > size) {
    size = other;
    space_ = run.page << kPageShift;
  }
  return memory_.subspan(space_, size);
}

// Calls back with each page of a stretch of one chunk, and the bytes of it there.
template <typename Visit>
void CopyArena::EachPage(uint64_t offset, uint32_t size, Visit visit) {
  uint32_t page = static_cast<uint32_t>((offset >> kPageShift) % kChunkPages);
  uint32_t room = static_cast<uint32_t>(kPage - offset % kPage);
  for (; size > 0; page++, room = kPage) {
    uint32_t bytes = std::min(size, room);
    visit(page, static_cast<uint16_t>(bytes));
    size -= bytes;
  }
}

CopyArena::Taken CopyArena::Take(Tail& tail, uint32_t size) {
  Taken taken = {space_, 0};
  Chunk& chunk = chunks_[ChunkOf(space_)];
  EachPage(space_, size, [&](uint32_t page, uint16_t bytes) {
    if (chunk.held[page] == 0) taken.fresh++;
    chunk.held[page] += bytes;
    chunk.free.Remove(page);
  });
  tail = {space_ + size, size, true};
  return taken;
}

uint32_t CopyArena::Release(Tail& tail, uint64_t offset, uint32_t size) {
  uint64_t index = ChunkOf(offset);
  Chunk& chunk = chunks_[index];
  uint32_t freed = 0;
  EachPage(offset, size, [&](uint32_t page, uint16_t bytes) {
    chunk.held[page] -= bytes;
    if (chunk.held[page] > 0) return;
    chunk.free.Add(page);
    freed++;
    if (index * kChunkPages + page == (tail.end - 1) >> kPageShift) tail.live = false;
  });
  if (freed > 0 && index != current_ && WhollyFree(index)) {
    free_.push_back(static_cast<uint32_t>(index));
  }
  return freed;
}

}  // namespace devmem
