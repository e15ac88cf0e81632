// A set of the pages of a chunk, and runs of neighbours in it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

// A multiple of 64. A harness has smaller chunks, of which it fills several.
#ifndef DEVMEM_CHUNK_PAGES
#define DEVMEM_CHUNK_PAGES 512
#endif

namespace devmem {

class PageSet {
 public:
  static constexpr uint32_t kPages = DEVMEM_CHUNK_PAGES;

  struct Run {
    uint32_t first = 0;
    uint32_t count = 0;
  };

  void Add(uint32_t page) { words_[page / 64] |= uint64_t{1} << page % 64; }
  void Remove(uint32_t page) { words_[page / 64] &= ~(uint64_t{1} << page % 64); }

  uint32_t Count() const {
    int count = 0;
    for (uint64_t word : words_) count += std::popcount(word);
    return static_cast<uint32_t>(count);
  }

  // How many pages from `page` on, without a gap.
  uint32_t RunFrom(uint32_t page) const { return FirstUnlike(page, true) - page; }

  // The longest run; the first of several.
  Run Longest() const {
    Run longest;
    for (uint32_t at = FirstUnlike(0, false); at < kPages;) {
      uint32_t count = RunFrom(at);
      if (count > longest.count) longest = {at, count};
      at = FirstUnlike(at + count, false);
    }
    return longest;
  }

 private:
  // The first page from `page` on that is not in the set, or with `member` false, that is.
  uint32_t FirstUnlike(uint32_t page, bool member) const {
    while (page < kPages) {
      uint64_t word = (member ? ~words_[page / 64] : words_[page / 64]) >> page % 64;
      if (word != 0) return page + static_cast<uint32_t>(std::countr_zero(word));
      page = (page / 64 + 1) * 64;
    }
    return kPages;
  }

  std::array<uint64_t, kPages / 64> words_ = {};
};

}  // namespace devmem
