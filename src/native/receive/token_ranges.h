// Gives tokens back to the kernel: SO_DEVMEM_DONTNEED with ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "uapi/devmem.h"

namespace devmem {

// How many of these tokens, at least the first, are each one more than the one before: a
// range.
size_t RunOfTokens(std::span<const uint32_t> tokens);

// (start, count) ranges within the kernel's limits for one call.
class TokenRanges {
 public:
  // Becomes the ranges of the first of these tokens, in their present order. Returns how
  // many: the others belong into the next call.
  size_t Take(std::span<const uint32_t> tokens);

  std::span<const uapi::DmabufToken> ranges() const { return {ranges_, used_}; }

 private:
  uapi::DmabufToken ranges_[uapi::kMaxDontneedRanges];
  uint32_t used_ = 0;
};

struct ReturnOutcome {
  uint32_t calls = 0;  // setsockopt calls made
  uint32_t freed = 0;  // fragments that the kernel says it freed
  int error = 0;       // -errno of the first call that failed
};

// Returns all of `tokens` (sorting them in place where that saves calls).
ReturnOutcome ReturnTokens(int socket, std::span<uint32_t> tokens);

}  // namespace devmem
