// A frag ring slot without a JavaScript engine.
#pragma once

#include <algorithm>
#include <cstdint>

#include "check.h"
#include "receive/batch_writer.h"

namespace devmem::fuzz {

// The columns of a slot, each in a block of exactly its size.
struct Columns : SlotColumns {
  static constexpr uint32_t kUntouched = 0xdeadbeef;

  Columns() {
    offsets = new double[kSlotCapacity];
    for (uint32_t** column : {&sizes, &tokens, &sources, &pages}) {
      *column = new uint32_t[kSlotCapacity];
      std::fill_n(*column, kSlotCapacity, kUntouched);
    }
  }
  ~Columns() {
    delete[] offsets;
    for (uint32_t* column : {sizes, tokens, sources, pages}) delete[] column;
  }

  // Checks that the descriptors from `begin` up to `end` alone were written.
  void Restore(uint32_t begin, uint32_t end) {
    DEMAND(begin == 0 || tokens[begin - 1] == kUntouched);
    DEMAND(end == kSlotCapacity || tokens[end] == kUntouched);
    std::fill(tokens + begin, tokens + end, kUntouched);
  }
};

}  // namespace devmem::fuzz
