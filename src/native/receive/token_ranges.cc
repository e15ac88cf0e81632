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

bool TokenRanges::Add(uint32_t token) {
  if (tokens_ == uapi::kMaxDontneedFrags) return false;
  if (used_ > 0) {
    uapi::DmabufToken& last = ranges_[used_ - 1];
    if (Follows(token, last.token_start + last.token_count - 1)) {
      last.token_count++;
      tokens_++;
      return true;
    }
  }
  if (used_ == uapi::kMaxDontneedRanges) return false;
  ranges_[used_++] = {token, 1};
  tokens_++;
  return true;
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

// How many ranges the tokens make in their present order.
size_t CountRuns(std::span<const uint32_t> tokens) {
  size_t runs = tokens.empty() ? 0 : 1;
  for (size_t i = 1; i < tokens.size(); i++) runs += !Follows(tokens[i], tokens[i - 1]);
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
  for (uint32_t token : tokens) {
    if (ranges.Add(token)) continue;
    Flush(socket, ranges, outcome);
    ranges.Add(token);
  }
  Flush(socket, ranges, outcome);
  return outcome;
}

}  // namespace devmem
