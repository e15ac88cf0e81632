// What a harness demands, and how often it has seen what.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace devmem::fuzz {

// Ends the run with the input kept: `condition` holds for every input.
#define DEMAND(condition)                                                                 \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

// Counts inputs by what they led to; told on stdout at exit, one line each:
// "reached: COUNT NAME". The script fails where a name was never reached.
class Tally {
 public:
  explicit Tally(std::span<const char* const> names) : names_(names), counts_(names.size()) {}
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;
  ~Tally() {
    for (size_t i = 0; i < names_.size(); i++) {
      std::printf("reached: %" PRIu64 " %s\n", counts_[i], names_[i]);
    }
  }

  void Count(size_t index) { counts_[index]++; }

 private:
  std::span<const char* const> names_;
  std::vector<uint64_t> counts_;
};

}  // namespace devmem::fuzz
