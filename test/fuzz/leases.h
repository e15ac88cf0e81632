// What a socket was handed and has not given back, batch by batch.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "control.h"
#include "receive/batch_writer.h"

namespace devmem::fuzz {

struct Fragment {
  uint64_t offset;
  uint32_t size;
  uint32_t token;
  uint32_t source;
  bool held = true;

  bool device() const { return source != kLinearSource; }
  // Of this dma-buf.
  uint64_t PagesIn(const Dmabuf& dmabuf) const {
    return held && source == dmabuf.id ? dmabuf.PagesOf(offset, size) : 0;
  }
};

struct Batch {
  SlotColumns* slot;
  uint32_t begin;
  std::vector<Fragment> fragments;
};

inline Fragment FragmentOf(const BatchWriter& out, uint32_t index) {
  return {out.offset(index), out.size(index), out.token(index), out.owner(index)};
}

class Leases {
 public:
  Batch& Add(const BatchWriter& out, std::vector<Fragment> fragments) {
    batches_.push_back(Batch{&out.slot(), out.begin(), std::move(fragments)});
    return batches_.back();
  }
  std::deque<Batch>& batches() { return batches_; }

  // Counted anew each time.
  uint64_t PagesHeld(const Dmabuf& dmabuf) const {
    uint64_t pages = 0;
    for (const Batch& batch : batches_) {
      for (const Fragment& each : batch.fragments) pages += each.PagesIn(dmabuf);
    }
    return pages;
  }
  uint32_t TokensHeld() const {
    uint32_t tokens = 0;
    for (const Batch& batch : batches_) {
      for (const Fragment& each : batch.fragments) tokens += each.held && each.device() ? 1 : 0;
    }
    return tokens;
  }

 private:
  std::deque<Batch> batches_;
};

}  // namespace devmem::fuzz
