// Fuzzes CmsgTransport against a kernel that follows a script: what is queued on
// the socket, what the calls are refused with, and where the records are false.
//
// An input is a Head, then Steps.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <iterator>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "check.h"
#include "columns.h"
#include "control.h"
#include "dontneed.h"
#include "receive/cmsg_transport.h"

namespace devmem::fuzz {

namespace {

constexpr int kSocket = 7;
constexpr Source kSources[] = {{1, 4 << 20}, {7, 64 << 10}};
constexpr uint64_t kPage = 4096;

struct Head {
  uint16_t limit;  // of the credits of each source, in pages
  // Descriptors in the slot before each call. The highest bit: reads until drained.
  uint16_t used;
  uint8_t keep;  // every how many-eth fragment is kept to the end
  // 0..7: which call to give tokens back is refused; in units of 8: by how many pages
  // the second source's limit is lower.
  uint8_t refuse;
};

enum class Kind { kLinear, kReadable, kDevice, kRefuse, kFalsify, kEnd, kCount };

struct Step {
  uint8_t kind;
  uint8_t choice;  // source, error number or the byte's new value
  uint16_t size;   // bytes
  uint16_t place;  // in units of 64 bytes, or the byte to falsify
};
static_assert(sizeof(Head) == 6 && sizeof(Step) == 6);

// A piece of the stream, as the kernel handed it out.
struct Piece {
  uint64_t offset;
  uint32_t size;
  uint32_t token;      // 0: linear
  uint32_t source;     // 0: linear
  uint8_t stamp;       // the first and last of its bytes, where those are linear
  uint32_t pages = 0;  // as the slot has it
};

enum Reached {
  kWhole,
  kStalled,
  kStalledByOne,
  kFull,
  kCut,
  kReadable,
  kRefused,
  kEnded,
  kRejected,
  kFalseTaken,
  kReturnRefused,
  kDrained
};
constexpr const char* kNames[] = {"streams received whole",
                                  "stalls for want of credits",
                                  "stalls for want of one source's credits alone",
                                  "batches filled up",
                                  "control buffers too small for all",
                                  "readable bytes",
                                  "calls refused",
                                  "ends",
                                  "false records rejected",
                                  "false records that pass for true",
                                  "refused returns of tokens",
                                  "reads until drained"};

Tally& Reach() {
  static Tally tally(kNames);
  return tally;
}

// recvmsg(MSG_SOCK_DEVMEM) as net/ipv4/tcp.c has it, over scripted data.
class Kernel {
 public:
  Kernel(const Head& head, std::span<const Step> steps, std::span<const Credits> credits)
      : head_(head), steps_(steps.begin(), steps.end()), credits_(credits) {}

  ssize_t Receive(msghdr& message) {
    calls_++;
    DEMAND(message.msg_iovlen == 1);
    for (const Credits& credits : credits_) {
      DEMAND(static_cast<double>(message.msg_iov->iov_len) <= credits.limit - credits.held);
    }
    DEMAND(message.msg_controllen >= uapi::kRecordSpace);
    DEMAND(message.msg_controllen <= Scratch::kControlSize);
    iov_ = {static_cast<uint8_t*>(message.msg_iov->iov_base), message.msg_iov->iov_len};
    control_room_ = message.msg_controllen;
    control_.clear();
    linear_ = 0;
    ssize_t received = Deliver();
    if (received < 0) {
      errno = static_cast<int>(-received);
      return -1;
    }
    std::copy(control_.begin(), control_.end(), static_cast<uint8_t*>(message.msg_control));
    message.msg_controllen = control_.size();
    return received;
  }

  int DontNeed(const void* list, size_t size) {
    std::vector<uint32_t> tokens = TokensNamed(list, size);
    if (returns_++ == head_.refuse % 8U) {
      Reach().Count(kReturnRefused);
      lost_ = true;
      errno = EFAULT;
      return -1;
    }
    int freed = 0;
    for (uint32_t token : tokens) {
      if (token == 0 || token > issued_.size() || !issued_[token - 1]) continue;
      issued_[token - 1] = false;
      freed++;
    }
    held_ -= static_cast<uint32_t>(freed);
    return freed;
  }

  std::vector<Piece> TakePieces() { return std::exchange(pieces_, {}); }
  bool falsified() const { return falsified_; }
  bool lost() const { return lost_; }
  bool drained() const { return steps_.empty(); }
  int refusal() const { return refusal_; }
  uint32_t held() const { return held_; }
  uint32_t calls() const { return calls_; }

 private:
  ssize_t Deliver() {
    size_t delivered = 0;
    size_t falsified_byte = SIZE_MAX;
    uint8_t value = 0;
    while (!steps_.empty() && delivered < iov_.size()) {
      Step& step = steps_.front();
      Kind kind = static_cast<Kind>(step.kind % static_cast<uint8_t>(Kind::kCount));
      if (kind == Kind::kFalsify) {
        falsified_byte = step.place;
        value = step.choice;
        steps_.pop_front();
        continue;
      }
      if (kind == Kind::kRefuse || kind == Kind::kEnd) {
        if (delivered > 0) break;
        return Stop(kind, step);
      }
      if (step.size == 0) {
        steps_.pop_front();
        continue;
      }
      // Records and readable bytes never come from one call.
      if (delivered > 0 && (kind == Kind::kReadable) != control_.empty()) break;
      size_t taken = Take(kind, step, iov_.size() - delivered);
      if (taken == 0) break;
      delivered += taken;
    }
    if (falsified_byte < control_.size() && control_[falsified_byte] != value) {
      control_[falsified_byte] = value;
      falsified_ = true;
    }
    return delivered > 0 ? static_cast<ssize_t>(delivered) : -EAGAIN;
  }

  ssize_t Stop(Kind kind, const Step& step) {
    constexpr int kErrors[] = {EINTR, EFAULT, ECONNRESET, EAGAIN, uapi::kETooSmall};
    refusal_ = kind == Kind::kEnd ? 0 : kErrors[step.choice % std::size(kErrors)];
    // An end lasts.
    if (kind != Kind::kEnd) steps_.pop_front();
    Reach().Count(kind == Kind::kEnd ? kEnded : kRefused);
    return -refusal_;
  }

  // Hands out up to `most` bytes of the step, the rest at the next call.
  size_t Take(Kind kind, Step& step, size_t most) {
    uint32_t size = static_cast<uint32_t>(std::min<size_t>(step.size, most));
    if (kind != Kind::kReadable && control_.size() + uapi::kRecordSpace > control_room_) {
      Reach().Count(kCut);
      return 0;
    }
    uapi::DmabufCmsg record = {};
    record.frag_size = size;
    if (kind == Kind::kDevice) {
      const Source& source = kSources[step.choice % std::size(kSources)];
      record.frag_offset = uint64_t{step.place} * 64 % source.size;
      size = static_cast<uint32_t>(std::min<uint64_t>(size, source.size - record.frag_offset));
      record.frag_size = size;
      record.frag_token = Issue();
      record.dmabuf_id = source.id;
      AppendRecord(control_, uapi::kSoDevmemDmabuf, record);
      pieces_.push_back({record.frag_offset, size, record.frag_token, source.id, 0});
    } else {
      WriteLinear(size, kind == Kind::kReadable && linear_ > 0);
      if (kind == Kind::kLinear) AppendRecord(control_, uapi::kSoDevmemLinear, record);
      if (kind == Kind::kReadable) Reach().Count(kReadable);
    }
    step.size = static_cast<uint16_t>(step.size - size);
    step.place = static_cast<uint16_t>(step.place + size / 64);
    if (step.size == 0) steps_.pop_front();
    return size;
  }

  // Readable bytes of one call are one piece, however they came.
  void WriteLinear(uint32_t size, bool more) {
    stamp_++;
    iov_[linear_ + size - 1] = stamp_;
    if (more) {
      pieces_.back().size += size;
      iov_[linear_ + size - 1] = pieces_.back().stamp;
    } else {
      iov_[linear_] = stamp_;
      pieces_.push_back({0, size, 0, kLinearSource, stamp_});
    }
    linear_ += size;
  }

  // The lowest token that is free, as the kernel's xarray gives them out.
  uint32_t Issue() {
    held_++;
    auto free = std::find(issued_.begin(), issued_.end(), false);
    size_t index = static_cast<size_t>(free - issued_.begin());
    if (free == issued_.end()) issued_.push_back(false);
    issued_[index] = true;
    return static_cast<uint32_t>(index) + 1;
  }

  Head head_;
  std::deque<Step> steps_;
  std::span<const Credits> credits_;
  std::span<uint8_t> iov_;
  size_t control_room_ = 0;
  Bytes control_;
  size_t linear_ = 0;
  std::vector<Piece> pieces_;
  std::vector<bool> issued_;
  uint32_t held_ = 0;
  uint32_t calls_ = 0;
  uint32_t returns_ = 0;
  uint8_t stamp_ = 0;
  int refusal_ = 0;
  bool falsified_ = false;
  bool lost_ = false;
};

Kernel* current = nullptr;

// One socket from its first batch to the last release.
class Session {
 public:
  Session(const Head& head, std::span<const Step> steps)
      : head_(head), kernel_(head, steps, credits_), transport_(Buffers(), counters_) {
    uint64_t lower = head.refuse / 8U;
    credits_[0].limit = static_cast<double>(head.limit * kPage);
    credits_[1].limit =
        static_cast<double>((head.limit - std::min<uint64_t>(lower, head.limit)) * kPage);
    for (size_t i = 0; i < std::size(kSources); i++) {
      Source source = kSources[i];
      source.credits = &credits_[i];
      DEMAND(transport_.AddSource(source) == 0);
      DEMAND(transport_.AddSource(source) == -EEXIST);
    }
    current = &kernel_;
  }

  void Run() {
    constexpr int kMostBatches = 128;
    bool going = true;
    for (int batch = 0; going && batch < kMostBatches; batch++) going = ReceiveBatch();
    bool whole = going && kernel_.drained() && !kernel_.falsified();
    Release(kept_);
    if (whole) Reach().Count(kWhole);
    CheckReleased();
  }

 private:
  static Scratch& Buffers() {
    static Scratch scratch;
    return scratch;
  }

  // False where the stream is over, or nothing more can come.
  bool ReceiveBatch() {
    static Columns columns;
    uint32_t used = head_.used % kSlotCapacity;
    columns.used = used;
    BatchWriter out(columns, used);
    bool until_drained = head_.used >> 15 != 0;
    FillResult result = transport_.Fill(kSocket, out, until_drained);
    if (until_drained) CheckDrained(result, out);
    DEMAND(out.count() <= kSlotCapacity - used);
    DEMAND(result.linear_bytes <= Scratch::kLinearSize);
    if (result.stalled) CheckStall();
    if (out.room() == 0) Reach().Count(kFull);
    std::vector<Piece> got = Read(out, result);
    if (result.error == -EBADMSG) Reach().Count(kRejected);
    if (!kernel_.falsified()) CheckPieces(got, result);
    if (kernel_.falsified() && result.error == 0) Reach().Count(kFalseTaken);
    Sort(got);
    CheckCredits();
    return result.error == 0 && !result.end && kernel_.calls() > 0;
  }

  // The batch's descriptors, each checked to lie where it may.
  std::vector<Piece> Read(const BatchWriter& out, const FillResult& result) {
    std::vector<Piece> pieces;
    uint64_t linear = 0;
    for (uint32_t i = 0; i < out.count(); i++) {
      Piece piece = {out.offset(i), out.size(i), out.token(i), out.source(i), 0, out.pages(i)};
      if (piece.source == kLinearSource) {
        DEMAND(piece.offset == linear);
        linear += piece.size;
        DEMAND(linear <= result.linear_bytes);
      } else {
        DEMAND(std::any_of(std::begin(kSources), std::end(kSources), [&](const Source& source) {
          return source.id == piece.source && piece.offset + piece.size <= source.size;
        }));
      }
      pieces.push_back(piece);
    }
    DEMAND(linear == result.linear_bytes);
    DEMAND(std::accumulate(pieces.begin(), pieces.end(), uint64_t{0},
                           [](uint64_t sum, const Piece& each) { return sum + each.size; }) ==
           result.bytes);
    return pieces;
  }

  // What the transport made of an honest kernel is what the kernel gave.
  void CheckPieces(const std::vector<Piece>& got, const FillResult& result) {
    DEMAND(result.error == 0 || result.error == -kernel_.refusal());
    std::vector<Piece> given = kernel_.TakePieces();
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

  // Keeps some fragments and gives the others back.
  void Sort(const std::vector<Piece>& pieces) {
    std::vector<Piece> done;
    for (const Piece& piece : pieces) {
      if (piece.source == kLinearSource) continue;
      bool keep = head_.keep > 0 && ++seen_ % head_.keep == 0;
      (keep ? kept_ : done).push_back(piece);
    }
    Release(done);
  }

  void Release(std::vector<Piece>& pieces) {
    std::vector<uint32_t> tokens;
    for (size_t first = 0; first < pieces.size(); first += kSlotCapacity) {
      uint32_t count =
          static_cast<uint32_t>(std::min<size_t>(pieces.size() - first, kSlotCapacity));
      for (uint32_t i = 0; i < count; i++) {
        const Piece& piece = pieces[first + i];
        unpinned_.offsets[i] = static_cast<double>(piece.offset);
        unpinned_.sizes[i] = piece.size;
        unpinned_.sources[i] = piece.source;
        unpinned_.tokens[i] = piece.token;
        unpinned_.pages[i] = piece.pages;
      }
      DEMAND(transport_.Unpin(unpinned_, 0, count, tokens) == count);
      DEMAND(transport_.Unpin(unpinned_, 0, count, tokens) == 0);
    }
    DEMAND(tokens.size() == pieces.size());
    int status = transport_.Release(kSocket, tokens);
    DEMAND(status == 0 || kernel_.lost());
    pieces.clear();
  }

  // Only what the reader itself lacks, or the stream's end, may leave data behind.
  void CheckDrained(const FillResult& result, const BatchWriter& out) {
    bool full = out.room() == 0 || result.linear_bytes == Scratch::kLinearSize;
    DEMAND(result.drained == !(full || result.stalled || result.end || result.error != 0));
    if (result.drained) Reach().Count(kDrained);
  }

  // A source without room for a page is reason enough to stop, and the only one.
  void CheckStall() {
    auto is_short = [](const Credits& credits) {
      return credits.limit - credits.held < static_cast<double>(kPage);
    };
    auto count = std::count_if(std::begin(credits_), std::end(credits_), is_short);
    DEMAND(count > 0);
    Reach().Count(kStalled);
    if (count < static_cast<ptrdiff_t>(std::size(credits_))) Reach().Count(kStalledByOne);
  }

  // Each source's credits are charged with the pages of what is kept of it.
  void CheckCredits() {
    for (size_t i = 0; i < std::size(kSources); i++) {
      uint64_t pages = 0;
      for (const Piece& piece : kept_) {
        if (piece.source != kSources[i].id) continue;
        pages += (piece.offset + piece.size - 1) / kPage - piece.offset / kPage + 1;
      }
      DEMAND(credits_[i].held == static_cast<double>(pages * kPage));
    }
  }

  void CheckReleased() {
    for (const Credits& credits : credits_) DEMAND(credits.held == 0);
    DEMAND(counters_.receive_calls == kernel_.calls());
    DEMAND(counters_.tokens_taken >= counters_.tokens_returned + counters_.tokens_missed);
    if (kernel_.falsified() || kernel_.lost()) return;
    DEMAND(kernel_.held() == 0);
    DEMAND(counters_.tokens_taken == counters_.tokens_returned);
    DEMAND(counters_.tokens_missed == 0);
  }

  Head head_;
  Credits credits_[std::size(kSources)];
  Counters counters_;
  Kernel kernel_;
  CmsgTransport transport_;
  Columns unpinned_;
  std::vector<Piece> kept_;
  uint32_t seen_ = 0;
};

}  // namespace

}  // namespace devmem::fuzz

// Called in place of the system calls (linked with --wrap).
extern "C" int __wrap_setsockopt(int socket, int level, int name, const void* value,
                                 socklen_t size) {
  using namespace devmem;
  DEMAND(socket == fuzz::kSocket);
  DEMAND(level == SOL_SOCKET && name == uapi::kSoDevmemDontneed);
  return fuzz::current->DontNeed(value, size);
}

extern "C" ssize_t __wrap_recvmsg(int socket, msghdr* message, int flags) {
  using namespace devmem;
  DEMAND(socket == fuzz::kSocket);
  DEMAND(flags == (uapi::kMsgSockDevmem | MSG_DONTWAIT));
  return fuzz::current->Receive(*message);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace devmem::fuzz;
  if (size < sizeof(Head)) return -1;
  std::vector<Step> steps;
  for (size_t at = sizeof(Head); at + sizeof(Step) <= size; at += sizeof(Step)) {
    steps.push_back(Load<Step>(data + at));
  }
  Session(Load<Head>(data), steps).Run();
  return 0;
}
