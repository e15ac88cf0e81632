// Memory for arenas of any size, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "receive/copy_arena.h"

namespace devmem::fuzz {

class ArenaMemory {
 public:
  static constexpr uint64_t kMostPages = 640;

  // So many pages and odd bytes, at the end of the block, which the address sanitizer guards.
  std::span<uint8_t> Of(uint64_t pages, uint64_t odd) {
    uint64_t size = pages * CopyArena::kPage + odd % CopyArena::kPage;
    return {block_.get() + kBytes - size, size};
  }

 private:
  static constexpr uint64_t kBytes = (kMostPages + 1) * CopyArena::kPage;
  std::unique_ptr<uint8_t[]> block_ = std::make_unique<uint8_t[]>(kBytes);
};

}  // namespace devmem::fuzz
