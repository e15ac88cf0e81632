// A frag ring without a JavaScript engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>

#include "check.h"
#include "receive/batch_writer.h"

namespace devmem::fuzz {

// The columns of a slot, each in a block of exactly its size.
struct Columns : SlotColumns {
  static constexpr uint32_t kUntouched = 0xdeadbeef;

  Columns() {
    offsets = new double[kSlotCapacity];
    for (uint32_t** column : {&sizes, &sources, &tokens, &pages, &owners}) {
      *column = new uint32_t[kSlotCapacity];
      std::fill_n(*column, kSlotCapacity, kUntouched);
    }
  }
  Columns(const Columns&) = delete;
  Columns& operator=(const Columns&) = delete;
  ~Columns() {
    delete[] offsets;
    for (uint32_t* column : {sizes, sources, tokens, pages, owners}) delete[] column;
  }

  // Where what was written from `used` on ends: a batch that was taken back leaves it.
  uint32_t written() const {
    return static_cast<uint32_t>(std::find(tokens + used, tokens + kSlotCapacity, kUntouched) -
                                 tokens);
  }

  // Checks that the descriptors from `begin` up to `end` alone were written.
  void Restore(uint32_t begin, uint32_t end) {
    for (uint32_t* column : {tokens, pages, owners}) {
      DEMAND(begin == 0 || column[begin - 1] == kUntouched);
      DEMAND(end == kSlotCapacity || column[end] == kUntouched);
      std::fill(column + begin, column + end, kUntouched);
    }
    used = 0;
    live = 0;
  }
};

// Writes what a script might to the columns that it shares, over the descriptors from
// `begin` up to `end`. 0: nothing.
inline void Scribble(SlotColumns& slot, uint32_t begin, uint32_t end, uint8_t how) {
  constexpr double kOffsets[] = {0, -1, 1e300, std::numeric_limits<double>::quiet_NaN()};
  const uint32_t values[] = {kLinearSource, kReleasedSource, 1, how};
  if (how == 0) return;
  for (uint32_t i = begin; i < end; i++) {
    slot.offsets[i] = kOffsets[how % 4];
    slot.sizes[i] = values[how / 4 % 4];
    slot.sources[i] = values[(how / 16 + i) % 4];
  }
}

// Slots that are filled one after the other; none is used twice before the next Reset.
class Slots {
 public:
  // `used` descriptors of the first slot are somebody else's.
  void Reset(uint32_t used) {
    for (uint32_t i = 0; i <= current_ && i < slots_.size(); i++) {
      slots_[i].Restore(i == 0 ? first_ : 0, slots_[i].written());
    }
    if (slots_.empty()) slots_.emplace_back();
    current_ = 0;
    first_ = slots_[0].used = used;
  }

  BatchWriter Begin() {
    if (slots_[current_].used == kSlotCapacity && ++current_ == slots_.size()) {
      slots_.emplace_back();
    }
    return BatchWriter(slots_[current_], current_ * kSlotCapacity + slots_[current_].used);
  }

 private:
  std::deque<Columns> slots_;
  uint32_t current_ = 0;
  uint32_t first_ = 0;
};

}  // namespace devmem::fuzz
