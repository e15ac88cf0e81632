// Fuzzes RefillRing against a kernel that takes entries when it likes.
//
// An input is the ring's size and where its indexes begin (both as powers of two below),
// then steps: how many buffers are given back, whether that is published, and how many
// entries the kernel takes then.
#include "zcrx/refill_ring.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "check.h"
#include "input.h"

namespace devmem::fuzz {

namespace {

constexpr uint64_t kToken = uint64_t{5} << uapi::kZcrxAreaShift;

enum Outcome { kPlaced, kFull, kWaited, kWrapped, kIdleKernel };
constexpr const char* kNames[] = {"all placed at once", "the ring full", "some that waited placed",
                                  "indexes around 2^32", "a kernel that takes nothing"};

struct Head {
  uint8_t size;   // 2^(size % 6) entries
  uint8_t start;  // of the indexes: near 2^32 where odd
};

struct Step {
  uint8_t given;
  uint8_t publishes;
  uint8_t taken;
};

// As it lies in memory that both sides share.
struct Region {
  uint32_t head;
  uint32_t tail;
  uapi::ZcrxRqe entries[32];
};

class Kernel {
 public:
  Kernel(Region& region, uint32_t size) : region_(region), size_(size) {}

  void Take(uint32_t most) {
    for (; most > 0 && waiting() > 0; most--) {
      const uapi::ZcrxRqe& entry = region_.entries[region_.head & (size_ - 1)];
      DEMAND(entry.pad == 0);
      DEMAND((entry.off & ~uapi::kZcrxOffsetMask) == kToken);
      taken_.push_back(
          static_cast<uint32_t>((entry.off & uapi::kZcrxOffsetMask) >> RefillRing::kUnitShift));
      region_.head++;
    }
  }

  // It clamps what it is told (io_zcrx_rqring_entries), and more would be lost.
  uint32_t waiting() const {
    uint32_t waiting = region_.tail - region_.head;
    DEMAND(waiting <= size_);
    return waiting;
  }

  const std::vector<uint32_t>& taken() const { return taken_; }

 private:
  Region& region_;
  uint32_t size_;
  std::vector<uint32_t> taken_;
};

void Run(const Input<Head, Step>& input, Tally& tally) {
  uint32_t size = 1U << (input.head().size % 6);
  Region region = {};
  region.head = region.tail = input.head().start % 2 == 0 ? 0 : UINT32_MAX - 3;
  uapi::ZcrxOffsets offsets = {};
  offsets.head = offsetof(Region, head);
  offsets.tail = offsetof(Region, tail);
  offsets.rqes = offsetof(Region, entries);
  RefillRing ring;
  ring.Attach(reinterpret_cast<uint8_t*>(&region), offsets, size, kToken);
  Kernel kernel(region, size);
  std::vector<uint32_t> given;
  bool waited = false;
  bool reached[std::size(kNames)] = {};
  for (const Step& step : input.steps()) {
    uint32_t before = region.tail;
    for (uint32_t i = 0; i < step.given % 8U; i++) {
      given.push_back(static_cast<uint32_t>(given.size() * 2654435761U));
      ring.Add(given.back());
    }
    // What is not published is not the kernel's.
    DEMAND(region.tail == before);
    if (step.publishes % 2 != 0) {
      bool all = ring.Publish();
      DEMAND(all == (ring.waiting() == 0));
      DEMAND(given.size() == kernel.taken().size() + kernel.waiting() + ring.waiting());
      // Nothing waits while there is a place.
      DEMAND(all || kernel.waiting() == size);
      reached[kPlaced] |= all && !waited;
      reached[kFull] |= !all;
      reached[kWaited] |= all && waited;
      waited = !all;
    }
    reached[kIdleKernel] |= step.taken == 0 && kernel.waiting() > 0;
    kernel.Take(step.taken);
    reached[kWrapped] |= region.head < 4 && input.head().start % 2 != 0 && !given.empty();
  }
  while (!ring.Publish()) kernel.Take(size);
  kernel.Take(size);
  DEMAND(kernel.taken() == given);
  ring.Detach();
  ring.Add(1);
  DEMAND(ring.Publish() && ring.waiting() == 0);
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
