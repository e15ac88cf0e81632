// Fuzzes CopyTransport: sockets that share a pool and its memory, over a scripted recv.
//
// An input is a Head, then Steps.
#include "receive/copy_transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "arena_memory.h"
#include "arena_model.h"
#include "check.h"
#include "columns.h"
#include "input.h"
#include "recv_script.h"
#include "shared_pool.h"

namespace devmem::fuzz {

namespace {

constexpr uint64_t kPage = ArenaModel::kPage;
constexpr uint32_t kPoolId = 5;
constexpr int kFirstSocket = 100;
constexpr size_t kMostSockets = 24;
// What one read may copy, and what makes another call worth its cost.
constexpr uint64_t kBudget = 2 << 20;
constexpr uint64_t kBulk = 16 << 10;
// What one call may read where no other socket has the memory.
constexpr uint64_t kMostAlone = 128 << 10;

struct Head {
  uint16_t pages;
  uint16_t odd;      // bytes of the memory besides whole pages
  uint8_t limit;     // of the pool, in 255ths of its memory
  uint8_t sockets;   // at first
  uint16_t used;     // descriptors in the slot before the first batch
  uint8_t scribble;  // what a script writes to the columns that it shares
  uint8_t unused;
};

enum class Op {
  kSend,
  kSendOften,
  kStop,
  kRead,
  kReadAhead,
  kReadInto,
  kRelease,
  kReleaseAll,
  kClose,
  kCount
};

struct Step {
  uint8_t op;
  uint8_t socket;
  uint8_t kind;    // of what is sent, or of error; how to read; how much to release
  uint8_t scale;   // of the place that is read into; how much of a fragment to release
  uint16_t value;  // bytes, or which fragment
};
static_assert(sizeof(Head) == 10 && sizeof(Step) == 6);

enum Reached {
  kStalled,
  kStoppedAhead,
  kResumed,
  kWithinFloor,
  kRestRead,
  kBudgetSpent,
  kFull,
  kDrained,
  kShortRead,
  kRefused,
  kInterrupted,
  kEnded,
  kPlaced,
  kPlaceFull,
  kPlacedWhileFull,
  kLeftHolding,
  kDivided,
  kScribbled,
  kOddMemory,
  kLimited
};
constexpr const char* kNames[] = {"stalls for want of memory",
                                  "reads ahead that stopped where waiting goes on",
                                  "reads by a socket that had stalled",
                                  "reads within the floor",
                                  "reads into the rest of a page, with no page to spare",
                                  "reads that spent their budget",
                                  "batches filled up",
                                  "reads until drained",
                                  "reads that ended with a short one",
                                  "calls refused",
                                  "calls interrupted",
                                  "ends",
                                  "reads into a consumer's place",
                                  "such places filled up",
                                  "such reads while the pool has no page",
                                  "pools left with fragments held",
                                  "fragments released in parts",
                                  "shared columns overwritten",
                                  "memory that is no whole pages",
                                  "limits below the memory"};

Tally& Reach() {
  static Tally tally(kNames);
  return tally;
}

struct Fragment {
  Piece piece;
  SlotColumns* slot;
  uint32_t index;
  bool divided = false;
  std::vector<Piece> left = {};  // of a divided one
};

struct Socket {
  Counters counters;
  CopyTransport transport{counters};
  RecvScript script;
  std::vector<Fragment> fragments;  // held
  size_t holder = 0;
  uint32_t calls = 0;
  uint64_t copied = 0;
  uint64_t end = 0;      // of what was read last
  bool goes_on = false;  // the page where that is is still the socket's
  bool stalled = false;
  bool closed = false;
};

// One Fill or FillInto, as its calls see it.
struct Reading {
  size_t socket;
  FillOrder order;
  uint32_t room;             // descriptors
  std::span<uint8_t> place;  // where it reads into, if not into the pool's memory
  std::vector<Piece> pieces;
  uint64_t bytes = 0;
  bool short_read = false;  // the last call gave less than asked for, and little
  std::optional<RecvScript::Answer> last;
};

class Program {
 public:
  explicit Program(const Head& head)
      : head_(head), memory_(Memory(head)), shared_(Terms(head, memory_.size())), model_(memory_) {
    shared_.pool().SetArena(std::make_unique<CopyArena>(memory_, nullptr));
    for (int i = 0; i <= head.sockets % 4; i++) Open();
    Ring().Reset(head.used % kSlotCapacity);
    if (memory_.size() % kPage != 0) Reach().Count(kOddMemory);
    if (shared_.model().limit() < model_.pages() * kPage) Reach().Count(kLimited);
    current = this;
  }
  ~Program() { current = nullptr; }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void Run(std::span<const Step> steps) {
    for (const Step& step : steps) {
      Do(step);
      Check();
    }
    for (size_t i = 0; i < sockets_.size(); i++) {
      if (i % 2 == 0) Close(i);
      Release(i, SIZE_MAX, 0);
      CheckCounters(sockets_[i]);
    }
    Check();
    DEMAND(shared_.pool().held() == 0);
    DEMAND(model_.free_pages() == model_.pages());
  }

  ssize_t OnCall(int socket, void* buffer, size_t size) {
    DEMAND(reading_ != nullptr);
    DEMAND(socket == kFirstSocket + static_cast<int>(reading_->socket));
    Socket& reader = sockets_[reading_->socket];
    reader.calls++;
    std::span<uint8_t> space(static_cast<uint8_t*>(buffer), size);
    if (reading_->place.empty()) {
      CheckCall(reader, space);
    } else {
      CheckCallInto(space);
    }
    RecvScript::Answer answer = reader.script.Next(size);
    reading_->last = answer;
    if (answer.error == EINTR) Reach().Count(kInterrupted);
    if (answer.bytes > 0) {
      return reading_->place.empty() ? Give(reader, space, answer.bytes)
                                     : GiveInto(reader, space, answer.bytes);
    }
    errno = answer.error;
    return answer.is_end() ? 0 : -1;
  }

  static Program* current;

 private:
  static std::span<uint8_t> Memory(const Head& head) {
    static ArenaMemory memory;
    return memory.Of(head.pages % ArenaMemory::kMostPages + 1, head.odd);
  }
  static Pool::Terms Terms(const Head& head, uint64_t size) {
    return {kPoolId, size, size * head.limit / 255, CopyArena::kPageShift};
  }
  static Slots& Ring() {
    static Slots slots;
    return slots;
  }

  void Open() {
    Socket& socket = sockets_.emplace_back();
    socket.holder = shared_.model().Add();
    Pool bare({kPoolId + 1, kPage, kPage, CopyArena::kPageShift});
    DEMAND(socket.transport.Join(bare) == -EINVAL);
    DEMAND(socket.transport.Join(shared_.pool()) == 0);
    DEMAND(socket.transport.Join(shared_.pool()) == -EEXIST);
    DEMAND(socket.transport.Join(bare) == -EINVAL);
    shared_.model().Join(socket.holder);
  }

  void Close(size_t index) {
    Socket& socket = sockets_[index];
    if (socket.closed) return;
    socket.closed = true;
    socket.transport.Leave();
    shared_.model().Leave(socket.holder);
    if (!socket.fragments.empty()) Reach().Count(kLeftHolding);
  }

  void Do(const Step& step) {
    size_t index = step.socket % sockets_.size();
    RecvScript& script = sockets_[index].script;
    switch (static_cast<Op>(step.op % static_cast<uint8_t>(Op::kCount))) {
      case Op::kSend:
        return script.Send(1, uint64_t{step.value} << step.kind % 5);
      case Op::kSendOften:
        return script.Send(1 + step.kind, 1 + step.value % 2048);
      case Op::kStop:
        return Stop(script, step.kind);
      case Op::kRead:
        return Read(index, {Demand::kWaiting, step.kind % 2 != 0});
      case Op::kReadAhead:
        return Read(index, {Demand::kAhead, step.kind % 2 != 0});
      case Op::kReadInto:
        return ReadInto(index, step);
      case Op::kRelease:
        if (step.scale % 2 != 0) return Divide(index, step);
        return Release(index, 1 + step.kind % 64, step.value);
      case Op::kReleaseAll:
        return Release(index, SIZE_MAX, 0);
      case Op::kClose:
        Close(index);
        if (sockets_.size() < kMostSockets) Open();
        return;
      default:
        return;
    }
  }

  static void Stop(RecvScript& script, uint8_t kind) {
    constexpr int kErrors[] = {EINTR, EAGAIN, ECONNRESET, EFAULT};
    size_t choice = kind % (std::size(kErrors) + 1);
    if (choice == 0) {
      script.End();
    } else {
      script.Refuse(kErrors[choice - 1]);
    }
  }

  uint64_t MostOfCall() const {
    auto open = std::ranges::count_if(sockets_, [](const Socket& each) { return !each.closed; });
    return open > 1 ? kBudget : kMostAlone;
  }

  // The call asks for memory that is the socket's or free, for no more of that than the
  // pool lets it take, and for no more than one call may read.
  void CheckCall(const Socket& reader, std::span<uint8_t> space) const {
    DEMAND(!space.empty() && space.size() <= MostOfCall());
    DEMAND(reading_->pieces.size() < reading_->room);
    DEMAND(reading_->bytes < kBudget);
    DEMAND(reading_->order.until_drained || !reading_->short_read);
    uint64_t fresh = model_.FreshPages(reading_->socket, model_.OffsetOf(space), space.size());
    const PoolModel& pool = shared_.model();
    uint64_t available = pool.Available(pool[reader.holder], reading_->order.demand);
    DEMAND(fresh * kPage <= available);
    if (fresh > 0 && available == pool.Reserved(pool[reader.holder])) Reach().Count(kWithinFloor);
    if (available < kPage) Reach().Count(kRestRead);
  }

  // The call asks for what follows in the place, for no more of it than is left, and for no
  // more than one call may read.
  void CheckCallInto(std::span<uint8_t> space) const {
    DEMAND(!space.empty());
    DEMAND(space.data() == reading_->place.data() + reading_->bytes);
    DEMAND(space.size() == std::min(reading_->place.size() - reading_->bytes, MostOfCall()));
    DEMAND(reading_->bytes < kBudget);
    DEMAND(reading_->order.until_drained || !reading_->short_read);
  }

  ssize_t GiveInto(Socket& reader, std::span<uint8_t> space, uint64_t bytes) {
    std::fill_n(space.begin(), bytes, ++stamp_);
    reader.copied += bytes;
    reading_->bytes += bytes;
    reading_->short_read = bytes < space.size() && bytes < kBulk;
    return static_cast<ssize_t>(bytes);
  }

  ssize_t Give(Socket& reader, std::span<uint8_t> space, uint64_t bytes) {
    Piece piece = {reading_->socket, model_.OffsetOf(space), static_cast<uint32_t>(bytes),
                   ++stamp_};
    shared_.model()[reader.holder].held += model_.Add(piece) * kPage;
    reader.end = piece.offset + piece.size;
    reader.goes_on = true;
    reader.copied += bytes;
    reading_->pieces.push_back(piece);
    reading_->bytes += bytes;
    reading_->short_read = bytes < space.size() && bytes < kBulk;
    return static_cast<ssize_t>(bytes);
  }

  void Read(size_t index, const FillOrder& order) {
    Socket& socket = sockets_[index];
    if (socket.closed) return;
    bool can_read = socket.transport.HasRoom();
    uint32_t calls = socket.calls;
    BatchWriter out = Ring().Begin();
    Reading reading = {index, order, out.room(), {}, {}, 0, false, {}};
    reading_ = &reading;
    FillResult result = socket.transport.Fill(kFirstSocket + static_cast<int>(index), out, order);
    reading_ = nullptr;
    // Whoever is told that there is room, and waits, reads.
    if (can_read && order.demand == Demand::kWaiting) DEMAND(socket.calls > calls);
    CheckEnd(socket, result, reading, out.room() == 0);
    Take(socket, reading, out);
    if (socket.stalled && reading.bytes > 0) Reach().Count(kResumed);
    socket.stalled = result.short_of_memory && order.demand == Demand::kWaiting;
    if (socket.stalled) Reach().Count(kStalled);
  }

  // Needs nothing of the pool, and changes nothing there.
  void ReadInto(size_t index, const Step& step) {
    Socket& socket = sockets_[index];
    if (socket.closed) return;
    DEMAND(socket.transport.CanFillInto());
    std::span<uint8_t> place = Place((1 + uint64_t{step.value}) << step.scale % 7);
    FillOrder order = {Demand::kWaiting, step.kind % 2 != 0};
    Reading reading = {index, order, 0, place, {}, 0, false, {}};
    uint32_t calls = socket.calls;
    bool has_room = socket.transport.HasRoom();
    reading_ = &reading;
    FillResult result =
        socket.transport.FillInto(kFirstSocket + static_cast<int>(index), place, order);
    reading_ = nullptr;
    DEMAND(socket.calls > calls && !result.short_of_memory);
    bool full = reading.bytes == place.size();
    CheckEnd(socket, result, reading, full);
    if (reading.bytes == 0) return;
    Reach().Count(kPlaced);
    if (full) Reach().Count(kPlaceFull);
    if (!has_room) Reach().Count(kPlacedWhileFull);
  }

  // At the end of a block, which the address sanitizer guards.
  static std::span<uint8_t> Place(uint64_t size) {
    constexpr uint64_t kMost = uint64_t{1} << 22;
    static const std::unique_ptr<uint8_t[]> block = std::make_unique<uint8_t[]>(kMost);
    return {block.get() + kMost - size, size};
  }

  // Nothing but these makes a read stop.
  void CheckEnd(const Socket& socket, const FillResult& result, const Reading& reading, bool full) {
    DEMAND(result.bytes == reading.bytes && result.linear_bytes == 0);
    bool over = reading.last && reading.last->bytes == 0 && reading.last->error != EINTR;
    int error = over ? reading.last->error : -1;
    DEMAND(result.end == (error == 0));
    DEMAND(result.drained == (error == EAGAIN));
    DEMAND(result.error == (error > 0 && error != EAGAIN ? -error : 0));
    bool spent = reading.bytes >= kBudget;
    DEMAND(!result.spent || spent);
    bool last_was_short = reading.short_read && !reading.order.until_drained;
    DEMAND(over || full || spent || last_was_short || result.short_of_memory);
    if (result.short_of_memory) CheckShortage(socket, reading.order.demand);
    if (result.end) Reach().Count(kEnded);
    if (result.error != 0) Reach().Count(kRefused);
    if (result.drained && reading.order.until_drained) Reach().Count(kDrained);
    if (spent) Reach().Count(kBudgetSpent);
    if (full) Reach().Count(kFull);
    if (last_was_short) Reach().Count(kShortRead);
  }

  // No page, nor anything left of the last one.
  void CheckShortage(const Socket& socket, Demand demand) const {
    const PoolModel& pool = shared_.model();
    DEMAND(pool.Available(pool[socket.holder], demand) < kPage);
    DEMAND(!socket.goes_on || socket.end % kPage == 0);
    bool waiting_goes_on = pool.Available(pool[socket.holder], Demand::kWaiting) >= kPage;
    if (demand == Demand::kAhead && waiting_goes_on) Reach().Count(kStoppedAhead);
  }

  // Each read is one descriptor, in order.
  void Take(Socket& socket, const Reading& reading, BatchWriter& out) {
    DEMAND(out.count() == reading.pieces.size());
    for (uint32_t i = 0; i < out.count(); i++) {
      const Piece& piece = reading.pieces[i];
      DEMAND(out.offset(i) == piece.offset);
      DEMAND(out.size(i) == piece.size);
      DEMAND(out.owner(i) == kPoolId);
      DEMAND(out.slot().sources[out.begin() + i] == kPoolId);
      socket.fragments.push_back({piece, &out.slot(), out.begin() + i, false, {}});
    }
    out.Commit();
    Scribble(out.slot(), out.begin(), out.begin() + out.count(), head_.scribble);
    if (head_.scribble != 0 && out.count() > 0) Reach().Count(kScribbled);
  }

  // From the fragment that `which` picks on, as many as there are: those that are neighbours
  // in a slot at once.
  void Release(size_t index, size_t count, size_t which) {
    Socket& socket = sockets_[index];
    std::vector<Fragment>& fragments = socket.fragments;
    size_t first = fragments.empty() ? 0 : which % fragments.size();
    size_t end = first + std::min(count, fragments.size() - first);
    for (size_t i = first, next = first; i < end; i = next) {
      do next++;
      while (next < end && fragments[next].slot == fragments[i].slot &&
             fragments[next].index == fragments[next - 1].index + 1);
      Unpin(socket, std::span(fragments).subspan(i, next - i));
    }
    fragments.erase(fragments.begin() + static_cast<ptrdiff_t>(first),
                    fragments.begin() + static_cast<ptrdiff_t>(end));
    DEMAND(socket.transport.Return(kFirstSocket + static_cast<int>(index)) == 0);
  }

  void Unpin(Socket& socket, std::span<const Fragment> run) {
    for (const Fragment& each : run) {
      for (const Piece& part : each.left) {
        auto at = static_cast<uint32_t>(part.offset - each.piece.offset);
        DEMAND(socket.transport.UnpinPart(*each.slot, each.index, at, part.size));
      }
    }
    uint32_t count = static_cast<uint32_t>(run.size());
    DEMAND(socket.transport.Unpin(*run[0].slot, run[0].index, count) == count);
    DEMAND(socket.transport.Unpin(*run[0].slot, run[0].index, count) == 0);
    DEMAND(!socket.transport.UnpinPart(*run[0].slot, run[0].index, 0, 1));
    uint64_t freed = 0;
    for (const Fragment& each : run) {
      if (!each.divided) freed += model_.Remove(each.piece);
      for (const Piece& part : each.left) freed += model_.Remove(part);
    }
    Freed(socket, freed);
  }

  void Freed(Socket& socket, uint64_t pages) {
    shared_.model()[socket.holder].held -= pages * kPage;
    if (socket.goes_on && model_.IsFree((socket.end - 1) / kPage)) socket.goes_on = false;
  }

  // Gives back some bytes of a fragment; the others follow with it.
  void Divide(size_t index, const Step& step) {
    Socket& socket = sockets_[index];
    if (socket.fragments.empty()) return;
    Fragment& fragment = socket.fragments[step.value % socket.fragments.size()];
    if (fragment.divided) return;
    const Piece piece = fragment.piece;
    uint32_t at = static_cast<uint32_t>(uint64_t{piece.size} * (step.scale / 2) / 128);
    uint32_t size =
        std::max<uint32_t>(static_cast<uint32_t>(uint64_t{piece.size - at} * step.kind / 255), 1);
    CopyTransport& transport = socket.transport;
    for (auto [from, bytes] : {std::pair{0U, 0U}, {0U, piece.size + 1}, {piece.size, 1U}}) {
      DEMAND(!transport.UnpinPart(*fragment.slot, fragment.index, from, bytes));
    }
    DEMAND(transport.UnpinPart(*fragment.slot, fragment.index, at, size));
    fragment.divided = true;
    Freed(socket, model_.RemovePart(piece, at, size, fragment.left));
    if (size < piece.size) Reach().Count(kDivided);
  }

  // The pool is charged with the pages that are in use, each to the socket that it is of.
  void Check() const {
    shared_.Check();
    const PoolModel& pool = shared_.model();
    PoolModel::Sums sums = pool.Sum();
    DEMAND(sums.held == (model_.pages() - model_.free_pages()) * kPage);
    DEMAND(sums.held <= pool.limit());
    for (size_t i = 0; i < sockets_.size(); i++) {
      const Holder& holder = pool[sockets_[i].holder];
      DEMAND(holder.held == model_.PagesOf(i) * kPage);
      uint64_t available = pool.Available(holder, Demand::kWaiting, sums);
      DEMAND(sockets_[i].transport.HasRoom() == (available >= kPage));
      DEMAND(sockets_[i].transport.Replenished() == pool.Replenished(holder, sums));
    }
  }

  static void CheckCounters(const Socket& socket) {
    DEMAND(socket.counters.receive_calls == socket.calls);
    DEMAND(socket.counters.copied_bytes == static_cast<double>(socket.copied));
  }

  Head head_;
  std::span<uint8_t> memory_;
  SharedPool shared_;
  ArenaModel model_;
  std::deque<Socket> sockets_;  // members of the pool
  Reading* reading_ = nullptr;
  uint8_t stamp_ = 0;
};

Program* Program::current = nullptr;

}  // namespace

}  // namespace devmem::fuzz

// Called in place of the system call (linked with --wrap=recv).
extern "C" ssize_t __wrap_recv(int socket, void* buffer, size_t size, int flags) {
  DEMAND(flags == MSG_DONTWAIT);
  return devmem::fuzz::Program::current->OnCall(socket, buffer, size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace devmem::fuzz;
  Input<Head, Step> input(data, size);
  if (!input.valid()) return -1;
  Program(input.head()).Run(input.steps());
  return 0;
}
