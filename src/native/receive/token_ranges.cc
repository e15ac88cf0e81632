#include "receive/token_ranges.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace devmem {

namespace {

// A range ends with the last number there is: none goes on at 0.
bool Follows(uint32_t token, uint32_t previous) {
  return token == previous + 1 && token != 0;
}

}  // namespace

uint32_t TokenRanges::Add(uint32_t first, uint32_t count) {
  if (used_ == uapi::kMaxDontneedRanges) return 0;
  uint32_t taken = std::min(count, uapi::kMaxDontneedFrags - tokens_);
  if (taken == 0) return 0;
  ranges_[used_++] = {first, taken};
  tokens_ += taken;
  return taken;
}

void TokenRanges::Clear() {
  used_ = 0;
  tokens_ = 0;
}

namespace {

// Returns the ranges, once more where the kernel had no memory for its copy.
void Flush(int socket, TokenRanges& ranges, ReturnOutcome& outcome) {
  if (ranges.tokens() == 0) return;
  auto list = ranges.ranges();
  int freed = -1;
  for (int attempt = 0; attempt < 2 && freed < 0; attempt++) {
    freed = setsockopt(socket, SOL_SOCKET, uapi::kSoDevmemDontneed, list.data(),
                       static_cast<socklen_t>(list.size_bytes()));
    outcome.calls++;
    if (freed < 0 && errno != ENOMEM && errno != EINTR) break;
  }
  if (freed >= 0) {
    outcome.freed += static_cast<uint32_t>(freed);
  } else if (outcome.error == 0) {
    outcome.error = -errno;
  }
  ranges.Clear();
}

// How many of the tokens follow each other from the first on: as the kernel issues
// them, all of a batch's do.
size_t RunLength(std::span<const uint32_t> tokens) {
  size_t length = 1;
  while (length < tokens.size() && Follows(tokens[length], tokens[length - 1])) length++;
  return length;
}

// How many ranges the tokens make in their present order.
size_t CountRuns(std::span<const uint32_t> tokens) {
  size_t runs = 0;
  for (; !tokens.empty(); runs++) tokens = tokens.subspan(RunLength(tokens));
  return runs;
}

}  // namespace

ReturnOutcome ReturnTokens(int socket, std::span<uint32_t> tokens) {
  ReturnOutcome outcome;
  TokenRanges ranges;
  bool many = tokens.size() > uapi::kMaxDontneedRanges;
  if (many && CountRuns(tokens) > uapi::kMaxDontneedRanges) {
    std::sort(tokens.begin(), tokens.end());
  }
  while (!tokens.empty()) {
    uint32_t taken = ranges.Add(tokens.front(), static_cast<uint32_t>(RunLength(tokens)));
    if (taken == 0) Flush(socket, ranges, outcome);
    tokens = tokens.subspan(taken);
  }
  Flush(socket, ranges, outcome);
  return outcome;
}

}  // namespace devmem
