// SO_DEVMEM_DONTNEED as the kernel takes it (net/core/sock.c).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "check.h"
#include "control.h"
#include "uapi/devmem.h"

namespace devmem::fuzz {

// The tokens that one call names, in order; the call must be within the limits.
inline std::vector<uint32_t> TokensNamed(const void* list, size_t size) {
  DEMAND(size > 0 && size % sizeof(uapi::DmabufToken) == 0);
  DEMAND(size <= uapi::kMaxDontneedRanges * sizeof(uapi::DmabufToken));
  std::vector<uint32_t> tokens;
  const auto* bytes = static_cast<const uint8_t*>(list);
  for (size_t at = 0; at < size; at += sizeof(uapi::DmabufToken)) {
    auto range = Load<uapi::DmabufToken>(bytes + at);
    DEMAND(range.token_count > 0);
    DEMAND(range.token_count <= uapi::kMaxDontneedFrags - tokens.size());
    // No range may run past the last number and go on at 0.
    DEMAND(range.token_count - 1 <= UINT32_MAX - range.token_start);
    for (uint32_t i = 0; i < range.token_count; i++) tokens.push_back(range.token_start + i);
  }
  return tokens;
}

}  // namespace devmem::fuzz
