#include "receive/token_ranges.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace devmem {

// Compared by the block, several to an instruction: mostly there are many.
size_t RunOfTokens(std::span<const uint32_t> tokens) {
  constexpr size_t kBlock = 16;
  const uint32_t first = tokens[0];
  // A range ends with the last number there is.
  const size_t most = std::min<size_t>(tokens.size(), uint64_t{UINT32_MAX} - first + 1);
  size_t length = 1;
  if (most == 1 || tokens[1] != first + 1) return length;
  for (; most - length >= kBlock; length += kBlock) {
    uint32_t differ = 0;
    for (size_t i = length; i < length + kBlock; i++) {
      differ |= tokens[i] ^ (first + static_cast<uint32_t>(i));
    }
    if (differ != 0) break;
  }
  while (length < most && tokens[length] == first + length) length++;
  return length;
}

namespace {

// How many ranges the tokens make in their present order.
size_t CountRanges(std::span<const uint32_t> tokens) {
  size_t ranges = 0;
  for (; !tokens.empty(); ranges++) tokens = tokens.subspan(RunOfTokens(tokens));
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
  tokens = tokens.first(std::min<size_t>(tokens.size(), uapi::kMaxDontneedFrags));
  size_t taken = 0;
  while (taken < tokens.size() && used_ < uapi::kMaxDontneedRanges) {
    size_t run = RunOfTokens(tokens.subspan(taken));
    ranges_[used_++] = {tokens[taken], static_cast<uint32_t>(run)};
    taken += run;
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
