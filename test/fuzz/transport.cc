// Fuzzes CmsgTransport against a kernel that follows a script.
//
// An input is a Head, then Steps.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <iterator>
#include <numeric>
#include <span>
#include <vector>

#include "check.h"
#include "cmsg_kernel.h"
#include "columns.h"
#include "input.h"
#include "leases.h"
#include "receive/cmsg_transport.h"
#include "shared_pool.h"

namespace devmem::fuzz {

namespace {

constexpr int kSocket = 7;
constexpr uint64_t kPage = 4096;
constexpr uint32_t kDemands = 8;

using Step = CmsgKernel::Step;

struct Head {
  uint16_t limit;  // of each pool, in pages of 4 KiB
  // Descriptors in the slot before the first call. The highest bit: reads until drained.
  uint16_t used;
  uint8_t keep;  // every how many-eth fragment is kept to the end
  // 0..7: which call to give tokens back is refused; in units of 8: by how many pages
  // the second pool's limit is lower.
  uint8_t refuse;
  uint8_t ahead;       // a bit for each of kDemands reads: nobody waits for it
  uint8_t flags;       // below
  uint8_t neighbours;  // 0..15: others in each pool; in units of 16: how much they take
  uint8_t scribble;    // what a script writes to the columns that it shares
};
static_assert(sizeof(Head) == 10);

enum Flags : uint8_t {
  kWithinPages = 1,
  kLeaves = 2,        // before the last release
  kSingly = 4,        // releases one by one, the last one first
  kReturnsLate = 8,   // after every second batch
  kCrowdsLate = 16,   // the others join when the stream runs
  kPageShift = 96,    // of the second pool, above the least
  kOthersYield = 128  // give back where the socket stalls
};

enum Reached {
  kWhole,
  kStalled,
  kStalledByOne,
  kStoppedAhead,
  kResumed,
  kWithinFloor,
  kBeyondLimit,
  kFull,
  kCut,
  kReadable,
  kRefused,
  kEnded,
  kRejected,
  kFalseTaken,
  kReturnRefused,
  kDrained,
  kLeftHolding,
  kScribbled,
  kLargePages
};
constexpr const char* kNames[] = {"streams received whole",
                                  "stalls for want of memory",
                                  "stalls for want of one pool's memory alone",
                                  "reads ahead that stopped where waiting goes on",
                                  "stalls that others ended",
                                  "reads within the floor",
                                  "limits passed by fragments across pages",
                                  "batches filled up",
                                  "control buffers too small for all",
                                  "readable bytes",
                                  "calls refused",
                                  "ends",
                                  "false records rejected",
                                  "false records that pass for true",
                                  "refused returns of tokens",
                                  "reads until drained",
                                  "pools left with fragments held",
                                  "shared columns overwritten",
                                  "fragments in pages of more than 4 KiB"};

Tally& Reach() {
  static Tally tally(kNames);
  return tally;
}

std::vector<Dmabuf> Dmabufs(const Head& head) {
  uint32_t more = (head.flags & kPageShift) / 32;
  return {{1, 4 << 20, kMinPageShift}, {7, uint64_t{64 << 10} << more, kMinPageShift + more}};
}

// One socket from its first batch to the last release.
class Session {
 public:
  Session(const Head& head, std::span<const Step> steps)
      : head_(head),
        dmabufs_(Dmabufs(head)),
        kernel_({dmabufs_, Has(kWithinPages), head.refuse % 8U}, steps),
        transport_(Buffers(), counters_) {
    uint64_t lower = std::min<uint64_t>(head.refuse / 8U, head.limit);
    for (const Dmabuf& each : dmabufs_) {
      uint64_t limit = pools_.empty() ? head.limit : head.limit - lower;
      pools_.emplace_back(Pool::Terms{each.id, each.size, limit * kPage, each.page_shift});
      Join(pools_.back());
    }
    CheckJoins();
    if (!Has(kCrowdsLate)) Crowd();
    Ring().Reset(head.used % kSlotCapacity);
    current = this;
  }
  ~Session() { current = nullptr; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Run() {
    constexpr uint32_t kMostBatches = 128;
    bool going = true;
    for (uint32_t i = 0; going && i < kMostBatches && idle_ <= kDemands; i++) {
      if (i == 1 && Has(kCrowdsLate)) Crowd();
      going = ReceiveBatch(i);
    }
    if (going && kernel_.drained() && !kernel_.history().falsified) Reach().Count(kWhole);
    if (Has(kLeaves)) Leave();
    ReleaseAll();
    CheckReleased();
  }

  // What one call asks for is what every pool lets the socket take.
  void OnCall(const msghdr& message) {
    Recount();
    DEMAND(message.msg_controllen >= uapi::kRecordSpace);
    DEMAND(message.msg_controllen <= Scratch::kControlSize);
    uint64_t frags = message.msg_controllen / uapi::kRecordSpace;
    DEMAND(frags <= out_->room());
    for (const SharedPool& each : pools_) {
      const PoolModel& model = each.model();
      uint64_t available = model.Available(model[0], demand_);
      DEMAND(message.msg_iov->iov_len <= available);
      DEMAND(frags <= available / model.page());
      if (available == model.Reserved(model[0])) Reach().Count(kWithinFloor);
    }
  }
  CmsgKernel& kernel() { return kernel_; }

  static Session* current;

 private:
  static Scratch& Buffers() {
    static Scratch scratch;
    return scratch;
  }
  static Slots& Ring() {
    static Slots slots;
    return slots;
  }

  bool Has(Flags flag) const { return (head_.flags & flag) != 0; }

  void Join(SharedPool& shared) {
    DEMAND(transport_.Join(shared.pool()) == 0);
    DEMAND(transport_.Join(shared.pool()) == -EEXIST);
    shared.model().Join(shared.model().Add());
  }

  // No pool may have an id that stands for something else.
  void CheckJoins() {
    for (uint32_t id : {kLinearSource, kReleasedSource, kDividedSource}) {
      Pool pool({id, kPage, kPage, kMinPageShift});
      DEMAND(transport_.Join(pool) == -EINVAL);
    }
  }

  void Crowd() {
    for (SharedPool& each : pools_) each.Crowd(head_.neighbours % 16U, head_.neighbours / 16U);
  }

  // False where the stream is over, or nothing more can come.
  bool ReceiveBatch(uint32_t index) {
    demand_ = (head_.ahead >> index % kDemands & 1) != 0 ? Demand::kAhead : Demand::kWaiting;
    CheckPools();
    bool can_read = transport_.HasRoom();
    uint32_t calls = kernel_.history().calls;
    BatchWriter out = Ring().Begin();
    out_ = &out;
    bool until_drained = head_.used >> 15 != 0;
    FillResult result = transport_.Fill(kSocket, out, {demand_, until_drained});
    out_ = nullptr;
    CheckEnd(result, out, until_drained);
    Batch& batch = Take(out, result);
    Recount();
    CheckPools();
    // Whoever is told that there is room, and waits, reads something.
    bool asked = kernel_.history().calls > calls;
    if (can_read && demand_ == Demand::kWaiting) DEMAND(asked || !result.short_of_memory);
    if (result.short_of_memory) OnShortage();
    idle_ = out.count() > 0 ? 0 : idle_ + 1;
    ReleaseSome(batch);
    if (!Has(kReturnsLate) || index % 2 == 1) Return();
    return result.error == 0 && !result.end && kernel_.history().calls > 0;
  }

  // Nothing but these makes a read stop.
  void CheckEnd(const FillResult& result, const BatchWriter& out, bool until_drained) {
    DEMAND(result.linear_bytes <= Scratch::kLinearSize);
    bool full = out.room() == 0 || result.linear_bytes == Scratch::kLinearSize;
    bool stopped = full || result.short_of_memory || result.end || result.error != 0;
    if (until_drained) {
      DEMAND(result.drained == !stopped);
      if (result.drained) Reach().Count(kDrained);
    } else {
      DEMAND(stopped || result.drained || kernel_.history().spare);
    }
    if (out.room() == 0) Reach().Count(kFull);
    if (result.error == -EBADMSG) Reach().Count(kRejected);
    if (kernel_.history().falsified && result.error == 0) Reach().Count(kFalseTaken);
  }

  // Hands the batch out, as the ring and a script have it.
  Batch& Take(BatchWriter& out, const FillResult& result) {
    Batch& batch = leases_.Add(out, Read(out, result));
    if (!kernel_.history().falsified) CheckPieces(batch.fragments, result);
    out.Commit();
    Scribble(out.slot(), out.begin(), out.begin() + out.count(), head_.scribble);
    if (head_.scribble != 0 && out.count() > 0) Reach().Count(kScribbled);
    return batch;
  }

  // The batch's descriptors, each checked to lie where it may.
  std::vector<Fragment> Read(const BatchWriter& out, const FillResult& result) const {
    std::vector<Fragment> fragments;
    uint64_t bytes = 0;
    uint64_t linear = 0;
    for (uint32_t i = 0; i < out.count(); i++) {
      Fragment fragment = FragmentOf(out, i);
      DEMAND(out.slot().sources[out.begin() + i] == fragment.source);
      bytes += fragment.size;
      if (fragment.source == kLinearSource) {
        DEMAND(fragment.offset == linear);
        linear += fragment.size;
      } else {
        size_t index = FindDmabuf(fragment.source, dmabufs_);
        DEMAND(index < dmabufs_.size());
        DEMAND(fragment.offset + fragment.size <= dmabufs_[index].size);
        if (dmabufs_[index].page_shift > kMinPageShift) Reach().Count(kLargePages);
      }
      fragments.push_back(fragment);
    }
    DEMAND(linear == result.linear_bytes);
    DEMAND(bytes == result.bytes);
    return fragments;
  }

  // What the transport made of an honest kernel is what the kernel gave.
  void CheckPieces(const std::vector<Fragment>& got, const FillResult& result) {
    DEMAND(result.error == 0 || result.error == -kernel_.history().refusal);
    std::vector<CmsgKernel::Piece> given = kernel_.TakePieces();
    DEMAND(got.size() == given.size());
    const uint8_t* linear = Buffers().linear();
    for (size_t i = 0; i < got.size(); i++) {
      DEMAND(got[i].size == given[i].size);
      DEMAND(got[i].source == given[i].source);
      DEMAND(got[i].token == given[i].token);
      if (got[i].source == kLinearSource) {
        DEMAND(linear[got[i].offset] == given[i].stamp);
        DEMAND(linear[got[i].offset + got[i].size - 1] == given[i].stamp);
      } else {
        DEMAND(got[i].offset == given[i].offset);
      }
    }
  }

  // A pool without a page for the socket is reason enough to stop, and the only one.
  void OnShortage() {
    auto is_short = [&](const SharedPool& each) {
      return each.model().Available(each.model()[0], demand_) < each.model().page();
    };
    auto count = std::count_if(pools_.begin(), pools_.end(), is_short);
    DEMAND(count > 0);
    bool stalled = demand_ == Demand::kWaiting;
    Reach().Count(stalled ? kStalled : kStoppedAhead);
    if (stalled && count < static_cast<ptrdiff_t>(pools_.size())) Reach().Count(kStalledByOne);
    if (!stalled || !Has(kOthersYield)) return;
    bool any = false;
    for (SharedPool& each : pools_) any |= each.OthersGiveBack();
    CheckPools();
    if (any && transport_.Replenished()) Reach().Count(kResumed);
  }

  // Each pool is charged with the pages of what is held of it, and of nothing else.
  void Recount() {
    for (size_t i = 0; i < pools_.size(); i++) {
      uint64_t pages = leases_.PagesHeld(dmabufs_[i]);
      uint32_t read = out_ == nullptr ? 0 : out_->count();
      for (uint32_t k = 0; k < read; k++) pages += FragmentOf(*out_, k).PagesIn(dmabufs_[i]);
      pools_[i].model()[0].held = pages << dmabufs_[i].page_shift;
    }
  }

  void CheckPools() const {
    bool has_room = true;
    bool replenished = true;
    for (const SharedPool& each : pools_) {
      each.Check();
      const PoolModel& model = each.model();
      PoolModel::Sums sums = model.Sum();
      has_room &= model.Available(model[0], Demand::kWaiting, sums) >= model.page();
      replenished &= model.Replenished(model[0], sums);
      if (sums.held <= model.limit()) continue;
      // How many pages a fragment lies in is known only once it is there.
      DEMAND(!Has(kWithinPages) || kernel_.history().falsified);
      Reach().Count(kBeyondLimit);
    }
    DEMAND(transport_.HasRoom() == has_room);
    DEMAND(transport_.Replenished() == replenished);
  }

  // Keeps some device fragments and gives the others back.
  void ReleaseSome(Batch& batch) {
    std::vector<bool> released;
    for (const Fragment& each : batch.fragments) {
      released.push_back(!(each.device() && head_.keep > 0 && ++seen_ % head_.keep == 0));
    }
    if (Has(kSingly)) {
      for (size_t i = released.size(); i-- > 0;) {
        if (released[i]) Unpin(batch, i, i + 1);
      }
    } else {
      for (size_t i = 0, end = 0; i < released.size(); i = end + 1) {
        end = i;
        while (end < released.size() && released[end]) end++;
        Unpin(batch, i, end);
      }
    }
    Recount();
  }

  void ReleaseAll() {
    for (Batch& batch : leases_.batches()) Unpin(batch, 0, batch.fragments.size());
    Recount();
    Return();
  }

  // Some may have been released before.
  void Unpin(Batch& batch, size_t first, size_t end) {
    uint32_t held = 0;
    for (size_t i = first; i < end; i++) {
      held += batch.fragments[i].held ? 1 : 0;
      batch.fragments[i].held = false;
    }
    uint32_t index = batch.begin + static_cast<uint32_t>(first);
    uint32_t count = static_cast<uint32_t>(end - first);
    DEMAND(transport_.Unpin(*batch.slot, index, count) == held);
    DEMAND(transport_.Unpin(*batch.slot, index, count) == 0);
  }

  void Return() {
    int status = transport_.Return(kSocket);
    const CmsgKernel::History& history = kernel_.history();
    DEMAND(status == 0 || history.lost);
    for (const SharedPool& each : pools_) each.Check();
    if (history.lost || history.falsified) return;
    DEMAND(history.held == leases_.TokensHeld());
  }

  void Leave() {
    transport_.Leave();
    bool held = false;
    for (SharedPool& each : pools_) {
      each.model().Leave(0);
      held |= each.model()[0].held > 0;
      each.Check();
    }
    if (held) Reach().Count(kLeftHolding);
  }

  void CheckReleased() {
    for (SharedPool& each : pools_) {
      DEMAND(each.model()[0].held == 0);
      each.Check();
    }
    const CmsgKernel::History& history = kernel_.history();
    if (history.refusals > 0) Reach().Count(kRefused);
    if (history.ends > 0) Reach().Count(kEnded);
    if (history.cuts > 0) Reach().Count(kCut);
    if (history.readable > 0) Reach().Count(kReadable);
    if (history.lost) Reach().Count(kReturnRefused);
    DEMAND(counters_.receive_calls == history.calls);
    DEMAND(counters_.return_calls == history.returns);
    DEMAND(counters_.tokens_taken >= counters_.tokens_returned + counters_.tokens_missed);
    if (history.falsified || history.lost) return;
    DEMAND(history.held == 0);
    DEMAND(counters_.tokens_taken == counters_.tokens_returned);
    DEMAND(counters_.tokens_missed == 0);
  }

  Head head_;
  std::vector<Dmabuf> dmabufs_;
  std::deque<SharedPool> pools_;
  Counters counters_;
  CmsgKernel kernel_;
  CmsgTransport transport_;  // a member of the pools
  Leases leases_;
  const BatchWriter* out_ = nullptr;  // during a read
  Demand demand_ = Demand::kWaiting;
  uint32_t seen_ = 0;
  uint32_t idle_ = 0;  // reads in a row that gave nothing
};

Session* Session::current = nullptr;

}  // namespace

}  // namespace devmem::fuzz

// Called in place of the system calls (linked with --wrap).
extern "C" int __wrap_setsockopt(int socket, int level, int name, const void* value,
                                 socklen_t size) {
  using namespace devmem;
  DEMAND(socket == fuzz::kSocket);
  DEMAND(level == SOL_SOCKET && name == uapi::kSoDevmemDontneed);
  return fuzz::Session::current->kernel().DontNeed(value, size);
}

extern "C" ssize_t __wrap_recvmsg(int socket, msghdr* message, int flags) {
  using namespace devmem;
  DEMAND(socket == fuzz::kSocket);
  DEMAND(flags == (uapi::kMsgSockDevmem | MSG_DONTWAIT));
  fuzz::Session::current->OnCall(*message);
  return fuzz::Session::current->kernel().Receive(*message);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace devmem::fuzz;
  Input<Head, Step> input(data, size);
  if (!input.valid()) return -1;
  Session(input.head(), input.steps()).Run();
  return 0;
}
