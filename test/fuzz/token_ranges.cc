// Fuzzes ReturnTokens against a kernel that holds tokens and may refuse a call.
//
// An input is three bytes that say how the kernel behaves, then runs of tokens:
// start (uint32), length and stride (uint8). A few lengths are long, so that
// short inputs reach the limits of one call too.
#include "receive/token_ranges.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>
#include <vector>

#include "check.h"
#include "control.h"
#include "dontneed.h"

namespace devmem::fuzz {

namespace {

constexpr int kSocket = 7;
constexpr size_t kMaxTokens = 1300;

// How inputs are told apart in the tally.
enum Outcome { kAllFreed, kMissed, kRepeated, kWrapped, kManyCalls, kRetried, kRefused, kSorted };
constexpr const char* kNames[] = {"all freed",          "tokens that the kernel did not hold",
                                  "tokens twice",       "tokens around 2^32",
                                  "more than one call", "a call repeated",
                                  "a call refused",     "sorted for fewer ranges"};

// Holds tokens (given in rising order); some of the first eight calls fail with `error`, one per
// bit of `failures`.
class Kernel {
 public:
  Kernel(uint8_t failures, int error, std::vector<uint32_t> held)
      : failures_(failures), error_(error), tokens_(std::move(held)) {
    tokens_.erase(std::unique(tokens_.begin(), tokens_.end()), tokens_.end());
    held_.assign(tokens_.size(), true);
  }

  int DontNeed(const void* list, size_t size) {
    std::vector<uint32_t> tokens = TokensNamed(list, size);
    bool fails = calls_ < 8 && (failures_ >> calls_ & 1) != 0;
    calls_++;
    if (fails) {
      errno = error_;
      return -1;
    }
    int freed = 0;
    for (uint32_t token : tokens) freed += Free(token) ? 1 : 0;
    freed_ += static_cast<uint32_t>(freed);
    given_.insert(given_.end(), tokens.begin(), tokens.end());
    return freed;
  }

  uint32_t calls() const { return calls_; }
  uint32_t freed() const { return freed_; }
  bool holds_any() const { return freed_ < tokens_.size(); }
  // Tokens named in calls that succeeded, in order.
  const std::vector<uint32_t>& given() const { return given_; }

 private:
  bool Free(uint32_t token) {
    auto found = std::lower_bound(tokens_.begin(), tokens_.end(), token);
    if (found == tokens_.end() || *found != token) return false;
    return std::exchange(held_[static_cast<size_t>(found - tokens_.begin())], false) != 0;
  }

  uint8_t failures_;
  int error_;
  uint32_t calls_ = 0;
  uint32_t freed_ = 0;
  std::vector<uint32_t> tokens_;  // held at first, sorted
  std::vector<uint8_t> held_;     // of those, the ones still held
  std::vector<uint32_t> given_;
};

Kernel* current = nullptr;

size_t Runs(const std::vector<uint32_t>& tokens) {
  size_t runs = 0;
  for (size_t i = 0; i < tokens.size(); i++) {
    runs += i == 0 || tokens[i - 1] == UINT32_MAX || tokens[i] != tokens[i - 1] + 1;
  }
  return runs;
}

std::vector<uint32_t> Expand(const uint8_t* data, size_t size) {
  constexpr size_t kRun = 6;
  constexpr uint32_t kLong = 0xf8;
  std::vector<uint32_t> tokens;
  for (size_t at = 0; at + kRun <= size; at += kRun) {
    uint32_t token = Load<uint32_t>(data + at);
    uint32_t length = data[at + 4] < kLong ? data[at + 4] % 8 + 1 : 300;
    for (uint32_t i = 0; i < length; i++) {
      tokens.push_back(token);
      token += data[at + 5];
    }
  }
  if (tokens.size() > kMaxTokens) tokens.resize(kMaxTokens);
  return tokens;
}

// The most calls that filling each one up to a limit can need.
size_t MostCalls(const std::vector<uint32_t>& tokens, const std::vector<uint32_t>& sorted) {
  size_t full = tokens.size() / uapi::kMaxDontneedFrags;
  size_t runs = Runs(tokens);
  if (runs > uapi::kMaxDontneedRanges) runs = Runs(sorted);
  return full + (runs + full) / uapi::kMaxDontneedRanges + 1;
}

void Count(const std::vector<uint32_t>& tokens, const ReturnOutcome& outcome, size_t distinct,
           bool retried) {
  static Tally tally(kNames);
  if (outcome.error == 0 && outcome.freed == tokens.size()) tally.Count(kAllFreed);
  if (outcome.error == 0 && outcome.freed < distinct) tally.Count(kMissed);
  if (distinct < tokens.size()) tally.Count(kRepeated);
  bool first = std::find(tokens.begin(), tokens.end(), 0U) != tokens.end();
  if (first && std::find(tokens.begin(), tokens.end(), UINT32_MAX) != tokens.end()) {
    tally.Count(kWrapped);
  }
  if (outcome.calls > 1) tally.Count(kManyCalls);
  if (retried) tally.Count(kRetried);
  if (outcome.error != 0) tally.Count(kRefused);
  if (Runs(tokens) > uapi::kMaxDontneedRanges) tally.Count(kSorted);
}

void Run(uint8_t failures, uint8_t error, uint8_t held, const std::vector<uint32_t>& input) {
  constexpr int kErrors[] = {ENOMEM, EINTR, EBADF, EFAULT};
  int number = kErrors[error % std::size(kErrors)];
  bool transient = number == ENOMEM || number == EINTR;
  std::vector<uint32_t> sorted = input;
  std::sort(sorted.begin(), sorted.end());
  std::vector<uint32_t> known;
  std::copy_if(sorted.begin(), sorted.end(), std::back_inserter(known),
               [held](uint32_t token) { return token % (held + 1U) == 0; });
  Kernel kernel(failures, number, known);
  current = &kernel;

  std::vector<uint32_t> tokens = input;
  ReturnOutcome outcome = ReturnTokens(kSocket, tokens);

  DEMAND(tokens == input || tokens == sorted);
  DEMAND(outcome.calls == kernel.calls());
  DEMAND(outcome.freed == kernel.freed());
  DEMAND(outcome.error == 0 || outcome.error == -number);
  DEMAND(outcome.calls <= 2 * MostCalls(input, sorted));
  if (failures == 0) DEMAND(outcome.calls <= MostCalls(input, sorted));
  if (outcome.error == 0) {
    DEMAND(!kernel.holds_any());
    DEMAND(kernel.given() == tokens);
  } else {
    DEMAND(failures != 0);
    DEMAND(kernel.given().size() < input.size());
  }
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  Count(input, outcome, sorted.size(), transient && failures != 0 && !input.empty());
}

}  // namespace

}  // namespace devmem::fuzz

// Called in place of the system call (linked with --wrap=setsockopt).
extern "C" int __wrap_setsockopt(int socket, int level, int name, const void* value,
                                 socklen_t size) {
  using namespace devmem;
  DEMAND(socket == fuzz::kSocket);
  DEMAND(level == SOL_SOCKET && name == uapi::kSoDevmemDontneed);
  return fuzz::current->DontNeed(value, size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHead = 3;
  if (size < kHead) return -1;
  devmem::fuzz::Run(data[0], data[1], data[2], devmem::fuzz::Expand(data + kHead, size - kHead));
  return 0;
}
