// The columns of a frag ring slot, and the writer that fills them. Apart from
// JavaScript, so that parsers can be run without it.
#pragma once

#include <cstdint>

namespace devmem {

inline constexpr uint32_t kSlotCapacity = 1024;
inline constexpr uint32_t kLinearSource = 0;
inline constexpr uint32_t kReleasedSource = 0xffffffff;
// Parts of it were given back, and so will be the others, each by itself.
inline constexpr uint32_t kDividedSource = 0xfffffffe;

// Whether a source is one of these, which no memory's id may be.
constexpr bool IsMark(uint32_t source) {
  return source == kLinearSource || source >= kDividedSource;
}

struct SlotColumns {
  // Shared with JavaScript, and never read here: a script may write anything to them.
  double* offsets = nullptr;
  uint32_t* sizes = nullptr;
  uint32_t* sources = nullptr;
  // This side's own.
  uint32_t* tokens = nullptr;
  uint32_t* pages = nullptr;
  uint32_t* owners = nullptr;  // as `sources`, or kReleasedSource, or kDividedSource
  uint32_t used = 0;           // descriptors handed out since the slot was last empty
  uint32_t live = 0;           // of those, the ones not released yet
};

// Writes descriptors at the end of the current slot.
class BatchWriter {
 public:
  BatchWriter(SlotColumns& slot, uint32_t first_number)
      : slot_(&slot), begin_(slot.used), end_(slot.used), first_number_(first_number) {}

  uint32_t room() const { return kSlotCapacity - end_; }
  uint32_t count() const { return end_ - begin_; }
  uint32_t first_number() const { return first_number_; }

  // The caller has checked room(). `pages` of the source are held by this descriptor.
  void Add(uint64_t offset, uint32_t size, uint32_t token, uint32_t source, uint32_t pages = 0) {
    // Signed, which is one instruction: no offset in a dma-buf has that bit.
    slot_->offsets[end_] = static_cast<double>(static_cast<int64_t>(offset));
    slot_->sizes[end_] = size;
    slot_->sources[end_] = source;
    slot_->tokens[end_] = token;
    slot_->pages[end_] = pages;
    slot_->owners[end_] = source;
    end_++;
  }

  // The slot, and where in it the batch begins.
  SlotColumns& slot() const { return *slot_; }
  uint32_t begin() const { return begin_; }

  // Takes back what was added after the batch held `count` descriptors.
  void Truncate(uint32_t count) { end_ = begin_ + count; }
  // Of the batch's descriptor `index`.
  uint64_t offset(uint32_t index) const {
    return static_cast<uint64_t>(slot_->offsets[begin_ + index]);
  }
  uint32_t size(uint32_t index) const { return slot_->sizes[begin_ + index]; }
  uint32_t token(uint32_t index) const { return slot_->tokens[begin_ + index]; }
  uint32_t owner(uint32_t index) const { return slot_->owners[begin_ + index]; }
  uint32_t pages(uint32_t index) const { return slot_->pages[begin_ + index]; }

  // Hands the batch out: its descriptors now wait for their release.
  void Commit() {
    slot_->live += count();
    slot_->used = end_;
  }

 private:
  SlotColumns* slot_;
  uint32_t begin_;
  uint32_t end_;
  uint32_t first_number_;
};

}  // namespace devmem
