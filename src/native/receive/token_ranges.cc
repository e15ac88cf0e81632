#include "receive/token_ranges.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace devmem {

namespace {

// What follows on a token, if anything: a range ends with the last number there is.
uint64_t After(uint32_t token) {
  return uint64_t{token} + 1;
}

// How many ranges the tokens make in their present order.
size_t CountRanges(std::span<const uint32_t> tokens) {
  size_t ranges = 0;
  uint64_t next = UINT64_MAX;
  for (uint32_t token : tokens) {
    ranges += token != next;
    next = After(token);
  }
  return ranges;
}

// Returns the ranges, once more where the kernel had no memory for its copy.
void Return(int socket, const TokenRanges& ranges, ReturnOutcome& outcome) {
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
}

}  // namespace

size_t TokenRanges::Take(std::span<const uint32_t> tokens) {
  used_ = 0;
  uint64_t next = UINT64_MAX;
  size_t taken = 0;
  for (uint32_t token : tokens.first(std::min<size_t>(tokens.size(), uapi::kMaxDontneedFrags))) {
    if (token != next) {
      if (used_ == uapi::kMaxDontneedRanges) break;
      ranges_[used_++] = {token, 0};
    }
    ranges_[used_ - 1].token_count++;
    next = After(token);
    taken++;
  }
  return taken;
}

ReturnOutcome ReturnTokens(int socket, std::span<uint32_t> tokens) {
  bool many = tokens.size() > uapi::kMaxDontneedRanges;
  if (many && CountRanges(tokens) > uapi::kMaxDontneedRanges) {
    std::sort(tokens.begin(), tokens.end());
  }
  ReturnOutcome outcome;
  TokenRanges ranges;
  while (!tokens.empty()) {
    tokens = tokens.subspan(ranges.Take(tokens));
    Return(socket, ranges, outcome);
  }
  return outcome;
}

}  // namespace devmem
