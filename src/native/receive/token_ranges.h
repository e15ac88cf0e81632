// Gives tokens back to the kernel: SO_DEVMEM_DONTNEED with ranges.
#pragma once

#include <cstdint>
#include <span>

#include "uapi/devmem.h"

namespace devmem {

// (start, count) ranges within the kernel's limits for one call.
class TokenRanges {
 public:
  // Adds `count` tokens from `first` on, of which none follows on the last one added.
  // Returns how many: the others belong into the next call.
  uint32_t Add(uint32_t first, uint32_t count);
  void Clear();

  std::span<const uapi::DmabufToken> ranges() const { return {ranges_, used_}; }
  uint32_t tokens() const { return tokens_; }

 private:
  uapi::DmabufToken ranges_[uapi::kMaxDontneedRanges];
  uint32_t used_ = 0;
  uint32_t tokens_ = 0;
};

struct ReturnOutcome {
  uint32_t calls = 0;  // setsockopt calls made
  uint32_t freed = 0;  // fragments that the kernel says it freed
  int error = 0;       // -errno of the first call that failed
};

// Returns all of `tokens` (sorting them in place where that saves calls).
ReturnOutcome ReturnTokens(int socket, std::span<uint32_t> tokens);

}  // namespace devmem
