// Fuzzes Pool: sockets that join, leave, take at most what is available and give back.
//
// An input is a Head, then Steps.
#include "receive/pool.h"

#include <deque>
#include <iterator>
#include <span>
#include <vector>

#include "check.h"
#include "input.h"
#include "pool_model.h"

namespace devmem::fuzz {

namespace {

constexpr uint32_t kMostPageShift = 31;
constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;
constexpr uint64_t kFewSockets = 8;
constexpr uint64_t kMostSockets = 80;

struct Head {
  uint8_t page_shift;  // above the least
  uint8_t sockets;     // from 192 on: many
  uint16_t pages;      // of the limit, before scaling
  uint16_t beyond;     // bytes of the limit besides whole pages
  uint8_t down;        // bits that `pages` is shifted down by
  uint8_t up;          // and up, for memory as large as a JavaScript number says
};

enum class Op { kJoin, kLeave, kTake, kTakeAhead, kGiveBack, kJoinAll, kLeaveAll, kWatch, kCount };

struct Step {
  uint8_t op;
  uint8_t socket;
  uint16_t amount;
};
static_assert(sizeof(Head) == 8 && sizeof(Step) == 4);

enum Reached {
  kAllHeld,
  kUncovered,
  kCoveredAgain,
  kNoFloor,
  kFloorOfHalf,
  kFullFloor,
  kFloorFell,
  kFloorRose,
  kFloorStayed,
  kStoppedAhead,
  kLeftHolding,
  kFloorReplenishes,
  kNotYetReplenished,
  kOddLimit,
  kLargest,
  kCrowd
};
constexpr const char* kNames[] = {"all memory held",
                                  "joins while others hold what the floor promises",
                                  "floors with memory again",
                                  "too many members for a floor",
                                  "floors of a page each, from half of the memory",
                                  "floors at their most",
                                  "floors that fell",
                                  "floors that rose",
                                  "floors that did not rise for want of memory",
                                  "reading ahead stopped where waiting goes on",
                                  "sockets that left and hold on",
                                  "resuming within the floor",
                                  "room for a page, but not enough to resume",
                                  "limits that are no whole pages",
                                  "memory beyond 2^52 bytes",
                                  "more than 64 members"};

Tally& Reach() {
  static Tally tally(kNames);
  return tally;
}

uint64_t SocketsOf(const Head& head) {
  return 1 + head.sockets % (head.sockets < 192 ? kFewSockets : kMostSockets);
}

uint64_t LimitOf(const Head& head, uint32_t page_shift) {
  uint64_t page = uint64_t{1} << page_shift;
  uint64_t pages = uint64_t{head.pages} >> head.down % 16U;
  uint64_t most = kMaxSafeInteger >> page_shift;
  for (uint32_t i = 0; i < head.up % 64U && pages <= most / 2; i++) pages *= 2;
  return (pages << page_shift) + head.beyond % page;
}

class Program {
 public:
  explicit Program(const Head& head)
      : page_shift_(kMinPageShift + head.page_shift % (kMostPageShift - kMinPageShift + 1)),
        pool_({1, kMaxSafeInteger, LimitOf(head, page_shift_), page_shift_}),
        model_(LimitOf(head, page_shift_), page_shift_) {
    for (uint64_t i = SocketsOf(head); i > 0; i--) {
      accounts_.emplace_back();
      model_.Add();
    }
    if (model_.limit() % model_.page() != 0) Reach().Count(kOddLimit);
    if (model_.limit() >> 52 != 0) Reach().Count(kLargest);
  }

  void Run(std::span<const Step> steps) {
    Check();
    for (const Step& step : steps) {
      Do(step);
      Check();
    }
    for (size_t i = 0; i < accounts_.size(); i++) {
      Leave(i);
      GiveBack(i, model_[i].held);
    }
    Check();
    DEMAND(pool_.held() == 0);
  }

 private:
  void Do(const Step& step) {
    size_t socket = step.socket % accounts_.size();
    switch (static_cast<Op>(step.op % static_cast<uint8_t>(Op::kCount))) {
      case Op::kJoin:
        return Join(socket);
      case Op::kLeave:
        return Leave(socket);
      case Op::kTake:
        return Take(socket, Demand::kWaiting, step.amount);
      case Op::kTakeAhead:
        return Take(socket, Demand::kAhead, step.amount);
      case Op::kGiveBack:
        return GiveBack(socket, Part(model_[socket].held, step.amount));
      case Op::kJoinAll:
        for (size_t i = 0; i < accounts_.size(); i++) Join(i);
        return;
      case Op::kLeaveAll:
        for (size_t i = 0; i < accounts_.size(); i++) Leave(i);
        return;
      case Op::kWatch:
        watched_ = !watched_;
        return pool_.Publish(watched_ ? &readout_ : nullptr);
      default:
        return;
    }
  }

  void Join(size_t socket) {
    bool was_covered = model_.Covered();
    uint64_t floor = model_.floor();
    pool_.Join(accounts_[socket]);
    model_.Join(socket);
    if (model_.floor() < floor) Reach().Count(kFloorFell);
    if (was_covered && !model_.Covered()) Reach().Count(kUncovered);
  }

  // The others lose nothing by it, but that its seat is kept for the next.
  void Leave(size_t socket) {
    uint64_t floor = model_.floor();
    uint64_t missing = Missing();
    bool was_member = model_[socket].member;
    pool_.Leave(accounts_[socket]);
    model_.Leave(socket);
    DEMAND(Missing() <= missing + model_.floor());
    DEMAND(model_.floor() >= floor);
    if (model_.floor() > floor) Reach().Count(kFloorRose);
    if (was_member && model_[socket].held > 0) Reach().Count(kLeftHolding);
    if (was_member && PromisesMore()) Reach().Count(kFloorStayed);
  }

  // Whether a pool with as many members, of which none holds anything, has higher floors.
  bool PromisesMore() const {
    PoolModel fresh(model_.limit(), page_shift_);
    for (uint64_t i = model_.Members(); i > 0; i--) fresh.Join(fresh.Add());
    return fresh.floor() > model_.floor();
  }

  // What floors promise and nobody could be given now.
  uint64_t Missing() const {
    PoolModel::Sums sums = model_.Sum();
    return model_.Covered(sums) ? 0 : sums.held + sums.reserved - model_.limit();
  }

  // Whole pages of what there is; often none, one, or all.
  uint64_t Part(uint64_t bytes, uint16_t amount) const {
    uint64_t pages = bytes >> page_shift_;
    if (amount >= 0xc000) return pages << page_shift_;
    if (amount < 0x8000) return std::min<uint64_t>(pages, amount % 32U) << page_shift_;
    return (pages / 0x4000 * (amount % 0x4000U) + pages % 0x4000 * (amount % 0x4000U) / 0x4000)
           << page_shift_;
  }

  // What left its pools reads no more.
  void Take(size_t socket, Demand demand, uint16_t amount) {
    if (!model_[socket].member) return;
    uint64_t own = model_.Reserved(model_[socket]);
    uint64_t missing = Missing();
    uint64_t bytes = Part(pool_.Available(accounts_[socket], demand), amount);
    pool_.Charge(accounts_[socket], bytes);
    model_[socket].held += bytes;
    DEMAND(Missing() == missing);
    if (missing > 0) DEMAND(bytes <= own);
    if (demand == Demand::kAhead && bytes > own) {
      PoolModel::Sums sums = model_.Sum();
      DEMAND(model_.limit() - sums.held >= model_.Spare() + sums.reserved);
    }
  }

  // Each byte from beyond a floor makes good for one that floors lack.
  void GiveBack(size_t socket, uint64_t bytes) {
    uint64_t missing = Missing();
    uint64_t kept = model_[socket].member ? model_.floor() : 0;
    uint64_t beyond = model_[socket].held > kept ? model_[socket].held - kept : 0;
    pool_.Discharge(accounts_[socket], bytes);
    model_[socket].held -= bytes;
    DEMAND(Missing() == missing - std::min({missing, beyond, bytes}));
    if (missing > 0 && Missing() == 0) Reach().Count(kCoveredAgain);
  }

  void Check() {
    PoolModel::Sums sums = model_.Sum();
    DEMAND(pool_.held() == sums.held);
    DEMAND(sums.held <= model_.limit());
    CheckFloors();
    // Of many, some at a time.
    size_t stride = (accounts_.size() - 1) / kFewSockets + 1;
    for (size_t i = checks_++ % stride; i < accounts_.size(); i += stride) {
      CheckSocket(accounts_[i], model_[i], sums);
    }
    // One that is no member sees the sum of all floors.
    CheckSocket({}, {}, sums);
    DEMAND(!watched_ || readout_.held == static_cast<double>(sums.held));
    DEMAND(!watched_ || readout_.members == static_cast<double>(model_.Members()));
    if (model_.limit() - sums.held < model_.page()) Reach().Count(kAllHeld);
  }

  void CheckFloors() const {
    uint64_t members = model_.Members();
    uint64_t pages = members * model_.floor() / model_.page();
    bool of_half = model_.floor() == model_.page() && pages <= model_.limit() / model_.page() / 2;
    DEMAND(pages <= model_.limit() / model_.page() / 4 || of_half);
    if (members > 0 && model_.floor() == 0) Reach().Count(kNoFloor);
    if (pages > model_.limit() / model_.page() / 4) Reach().Count(kFloorOfHalf);
    if (members > 1 && model_.floor() == 16 * model_.page()) Reach().Count(kFullFloor);
    if (members > 64) Reach().Count(kCrowd);
  }

  void CheckSocket(const Account& account, const Holder& holder, const PoolModel::Sums& sums) {
    DEMAND(account.held == holder.held);
    DEMAND(account.member() == holder.member);
    uint64_t waiting = pool_.Available(account, Demand::kWaiting);
    uint64_t ahead = pool_.Available(account, Demand::kAhead);
    bool replenished = pool_.Replenished(account);
    DEMAND(waiting == model_.Available(holder, Demand::kWaiting, sums));
    DEMAND(ahead == model_.Available(holder, Demand::kAhead, sums));
    DEMAND(replenished == model_.Replenished(holder, sums));
    DEMAND(ahead <= waiting);
    // Who is told to read on can read a page.
    DEMAND(!replenished || waiting >= model_.page());
    // While there is memory for the floors, each has its own, at once.
    uint64_t own = model_.Reserved(holder);
    if (model_.Covered(sums)) {
      DEMAND(waiting >= own && ahead >= own);
      if (holder.member && holder.held == 0 && own > 0) DEMAND(replenished);
    }
    if (waiting >= model_.page() && ahead < model_.page()) Reach().Count(kStoppedAhead);
    if (replenished && waiting < model_.limit() / 4) Reach().Count(kFloorReplenishes);
    if (!replenished && waiting >= model_.page()) Reach().Count(kNotYetReplenished);
  }

  uint32_t page_shift_;
  Pool pool_;
  PoolModel model_;
  std::deque<Account> accounts_;
  Pool::Readout readout_ = {};
  bool watched_ = false;
  size_t checks_ = 0;
};

}  // namespace

}  // namespace devmem::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace devmem::fuzz;
  Input<Head, Step> input(data, size);
  if (!input.valid()) return -1;
  Program(input.head()).Run(input.steps());
  return 0;
}
