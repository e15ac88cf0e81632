// What the target `records` is fed: a block of parameters, then the control buffer, verbatim.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "control.h"
#include "receive/pool.h"

namespace devmem::fuzz {

struct RecordParameters {
  static constexpr size_t kSources = 3;

  uint64_t received;
  uint64_t source_size[kSources];
  uint32_t source_id[kSources];
  uint32_t linear_offset;
  uint16_t used;  // descriptors in the slot before the call
  uint16_t sources;
  uint8_t page_shift[kSources];  // above the least
  uint8_t unused;
};
static_assert(sizeof(RecordParameters) == 56);

struct RecordInput {
  // Sizes come from a JavaScript number, and so do offsets within them.
  static constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;
  static constexpr uint32_t kPageShifts = 20;

  RecordParameters parameters;
  Bytes control;

  static std::optional<RecordInput> Decode(const uint8_t* data, size_t size) {
    if (size < sizeof(RecordParameters)) return std::nullopt;
    return RecordInput{Load<RecordParameters>(data),
                       Bytes(data + sizeof(RecordParameters), data + size)};
  }

  // Cut where it is longer than `most` bytes. Returns its size.
  size_t Encode(uint8_t* data, size_t most) {
    control.resize(std::min(control.size(), most - sizeof parameters));
    std::memcpy(data, &parameters, sizeof parameters);
    std::copy(control.begin(), control.end(), data + sizeof parameters);
    return sizeof parameters + control.size();
  }

  std::vector<Dmabuf> table() const {
    std::vector<Dmabuf> table;
    for (size_t i = 0; i < parameters.sources % (RecordParameters::kSources + 1); i++) {
      table.push_back({parameters.source_id[i], parameters.source_size[i] & kMaxSafeInteger,
                       kMinPageShift + parameters.page_shift[i] % kPageShifts});
    }
    return table;
  }
};

}  // namespace devmem::fuzz
