// Fuzzes ReturnRing against a kernel that takes entries when it likes, and somebody who
// writes to its count.
//
// An input is the ring's size and where its counts begin, then steps: how many entries are
// put, whether they are published, how many the kernel takes, and what its count is then.
#include "queue/return_ring.h"

#include <iterator>
#include <vector>

#include "check.h"
#include "input.h"

namespace devmem::fuzz {

namespace {

constexpr uint32_t kMostEntries = 32;

enum Outcome { kPlaced, kFull, kWrapped, kIdleKernel, kScribbled };
constexpr const char* kNames[] = {"all placed", "the ring full", "counts around 2^32",
                                  "a kernel that takes nothing", "counts that cannot be"};

struct Head {
  uint8_t size;   // 2^(size % 6) entries
  uint8_t start;  // of the counts: near 2^32 where odd
};

struct Step {
  uint8_t put;
  uint8_t publishes;
  uint8_t taken;
  uint8_t scribble;  // where not 0: the kernel's count, so far from what it could be
};

class Kernel {
 public:
  Kernel(uint32_t size, uint32_t start) : size_(size), head_(start) {
    map_.return_producer = map_.return_consumer = start;
  }

  uapi::DevmemQueueMap* map() { return &map_; }
  uapi::DevmemQueueReturn* entries() { return entries_; }

  // What is wrong in its count is right again after that.
  void Take(uint32_t most) {
    DEMAND(waiting() <= size_);
    for (; most > 0 && waiting() > 0; most--) {
      const uapi::DevmemQueueReturn& entry = entries_[head_++ & (size_ - 1)];
      DEMAND(entry.cookie == 7 && entry.token_count == 1 && entry.reserved == 0);
      taken_.push_back(entry.token_start);
    }
    map_.return_consumer = head_;
  }

  // Ahead of all that was put, or behind by more than the ring has room for.
  void Scribble(uint32_t by, uint32_t put) { map_.return_consumer = put + by; }

  uint32_t waiting() const { return map_.return_producer - head_; }
  uint32_t head() const { return head_; }
  const std::vector<uint32_t>& taken() const { return taken_; }

 private:
  uint32_t size_;
  uint32_t head_;
  uapi::DevmemQueueMap map_ = {};
  uapi::DevmemQueueReturn entries_[kMostEntries] = {};
  std::vector<uint32_t> taken_;
};

void Run(const Input<Head, Step>& input, Tally& tally) {
  uint32_t size = 1U << (input.head().size % 6);
  uint32_t start = input.head().start % 2 == 0 ? 0 : UINT32_MAX - 3;
  Kernel kernel(size, start);
  ReturnRing ring;
  DEMAND(!ring.Put(7, 1, 1) && !ring.Pending());
  ring.Attach(kernel.map(), kernel.entries(), size);
  std::vector<uint32_t> put;
  bool reached[std::size(kNames)] = {};
  bool believable = true;
  for (const Step& step : input.steps()) {
    uint32_t before = kernel.map()->return_producer;
    uint32_t producer = start + static_cast<uint32_t>(put.size());
    for (uint32_t i = 0; i < step.put % 16U; i++) {
      bool room = believable && producer - kernel.head() < size;
      DEMAND(ring.Put(7, producer * 2654435761U, 1) == room);
      (room ? reached[kPlaced] : reached[kFull]) = true;
      if (!room) break;
      put.push_back(producer++ * 2654435761U);
    }
    // What is not published is not the kernel's.
    DEMAND(kernel.map()->return_producer == before);
    if (step.publishes % 2 != 0) ring.Publish();
    DEMAND(!believable || ring.Pending() == (producer != kernel.head()));
    reached[kIdleKernel] |= step.taken == 0 && kernel.waiting() > 0;
    if (step.taken > 0) {
      kernel.Take(step.taken);
      believable = true;
    }
    if (step.scribble > 0) {
      kernel.Scribble(step.scribble, producer);
      believable = false;
      reached[kScribbled] = true;
    }
    reached[kWrapped] |= kernel.head() < 4 && start != 0 && !put.empty();
  }
  ring.Publish();
  kernel.Take(UINT32_MAX);
  DEMAND(kernel.taken() == put);
  DEMAND(!ring.Pending());
  ring.Detach();
  DEMAND(!ring.Put(7, 1, 1) && !ring.Pending());
  for (size_t i = 0; i < std::size(kNames); i++) {
    if (reached[i]) tally.Count(i);
  }
}

}  // namespace

}  // namespace devmem::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace devmem::fuzz;
  static Tally tally(kNames);
  Input<Head, Step> input(data, size);
  if (input.valid()) Run(input, tally);
  return 0;
}
