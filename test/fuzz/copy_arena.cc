// Fuzzes CopyArena: sockets that read into what they are offered and release in any order.
//
// An input is a Head, then Steps.
#include "receive/copy_arena.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "arena_memory.h"
#include "arena_model.h"
#include "check.h"
#include "input.h"

namespace devmem::fuzz {

namespace {

constexpr uint64_t kPage = ArenaModel::kPage;
constexpr uint64_t kMostPages = 352;  // five chunks, and half of one
constexpr size_t kMostSockets = 32;

struct Head {
  uint8_t pages;    // one less than there are
  uint8_t sockets;  // at first
  uint16_t odd;     // bytes of the memory besides whole pages
};

enum class Op {
  kRead,
  kReadOften,
  kLook,
  kRelease,
  kReleaseMany,
  kReleaseSome,
  kReleaseAll,
  kRenew,
  kCount
};

struct Step {
  uint8_t op;
  uint8_t socket;
  uint8_t pages;   // that it may take; from 160 on: any number
  uint8_t kind;    // of size, and how many, and how much of one
  uint16_t value;  // size, or which fragment
};
static_assert(sizeof(Head) == 4 && sizeof(Step) == 6);

enum Reached {
  kSideBySide,
  kAcrossPages,
  kRestOnly,
  kMovedOn,
  kFull,
  kFragmented,
  kRefused,
  kFewPages,
  kTailGone,
  kPageKept,
  kDivided,
  kHole,
  kChunksAgain,
  kOnePage,
  kPartialChunk,
  kOddMemory,
  kClosedHolding
};
constexpr const char* kNames[] = {"fragments of a lone stream side by side",
                                  "fragments across pages",
                                  "offers of a page's rest, with no page to spare",
                                  "a rest left for more room elsewhere",
                                  "memory all taken",
                                  "free pages far apart",
                                  "nothing to offer",
                                  "offers cut short by the pages allowed",
                                  "a page released that the next read would have gone on in",
                                  "fragments released from a page that others are in",
                                  "fragments released in parts",
                                  "pages that came free inside a fragment",
                                  "chunks used again",
                                  "memory of one page",
                                  "the last chunk, not whole, in use",
                                  "memory that is no whole pages",
                                  "sockets that closed and hold on"};

Tally& Reach() {
  static Tally tally(kNames);
  return tally;
}

struct Socket {
  CopyArena::Tail tail;
  std::vector<Piece> pieces;  // held
  uint64_t end = 0;           // of the last one
  uint32_t last_size = 0;
  bool goes_on = false;  // the page where the last one ended is still the socket's
  bool closed = false;
};

class Program {
 public:
  explicit Program(const Head& head)
      : memory_(Memory(head.pages % kMostPages + 1, head.odd)),
        arena_(memory_, nullptr),
        model_(memory_),
        sockets_(1 + head.sockets % 6) {
    if (model_.pages() == 1) Reach().Count(kOnePage);
    if (memory_.size() % kPage != 0) Reach().Count(kOddMemory);
  }

  void Run(std::span<const Step> steps) {
    for (const Step& step : steps) Do(step);
    for (size_t i = 0; i < sockets_.size(); i++) ReleaseMany(i, SIZE_MAX, 0);
    DEMAND(model_.free_pages() == model_.pages());
    CheckWhole();
  }

 private:
  static std::span<uint8_t> Memory(uint64_t pages, uint16_t odd) {
    static ArenaMemory memory;
    return memory.Of(pages, odd);
  }

  void Do(const Step& step) {
    size_t socket = step.socket % sockets_.size();
    uint64_t pages = step.pages < 160 ? step.pages % 10U : UINT64_MAX;
    switch (static_cast<Op>(step.op % static_cast<uint8_t>(Op::kCount))) {
      case Op::kRead:
        return Read(socket, pages, step);
      case Op::kReadOften:
        for (uint32_t i = 0; i <= step.kind / 4U; i++) Read(socket, pages, step);
        return;
      case Op::kLook:
        Offer(socket, pages);
        return;
      case Op::kRelease:
        if (step.kind % 2 == 0) return ReleaseMany(socket, 1, step.value);
        return ReleasePart(socket, step);
      case Op::kReleaseMany:
        return ReleaseMany(socket, 1 + step.kind % 32, step.value);
      case Op::kReleaseSome:
        return ReleaseSome(socket, 2 + step.kind % 3);
      case Op::kReleaseAll:
        return ReleaseMany(socket, SIZE_MAX, step.value);
      case Op::kRenew:
        return Renew(socket);
      default:
        return;
    }
  }

  // Closes a socket, which releases later, and opens another.
  void Renew(size_t socket) {
    if (sockets_.size() == kMostSockets || sockets_[socket].closed) return;
    sockets_[socket].closed = true;
    if (!sockets_[socket].pieces.empty()) Reach().Count(kClosedHolding);
    sockets_.emplace_back();
  }

  // Bytes behind the socket's last fragment that are its own or free, in the same chunk.
  uint64_t Behind(const Socket& socket, uint64_t pages) const {
    if (!socket.goes_on) return 0;
    uint64_t next = (socket.end + kPage - 1) / kPage;
    uint64_t rest = next * kPage - socket.end;
    if (next % ArenaModel::kChunkPages == 0) return rest;
    return rest + std::min(model_.FreeRun(next), pages) * kPage;
  }

  // What the arena offers, checked.
  std::span<uint8_t> Offer(size_t index, uint64_t pages) {
    const Socket& socket = sockets_[index];
    std::span<uint8_t> space = arena_.Space(socket.tail, pages);
    uint64_t offset = model_.OffsetOf(space);
    uint64_t fresh = model_.FreshPages(index, offset, space.size());
    DEMAND(fresh <= pages);
    uint64_t behind = Behind(socket, pages);
    if (behind > std::min<uint64_t>(socket.last_size, ArenaModel::kWorthwhile - 1)) {
      // It goes on where it was, as long as that promises a read as large as the last one.
      DEMAND(offset == socket.end && space.size() == behind);
    } else {
      // A few pages, where there are as many. The last chunk may have fewer.
      uint64_t few = std::min(
          {pages, ArenaModel::kWorthwhilePages, model_.LongestRun(), model_.LastChunkPages()});
      // A small rest never where another chunk is free.
      if (model_.HasFreeChunk()) {
        few = std::min({pages, ArenaModel::kPlentyPages, model_.LastChunkPages()});
      }
      DEMAND(space.size() >= std::max(behind, few * kPage));
    }
    DEMAND(!space.empty() || pages == 0 || model_.free_pages() == 0);
    CountOffer(socket, offset, space.size(), fresh, pages, behind);
    return space;
  }

  void CountOffer(const Socket& socket, uint64_t offset, uint64_t size, uint64_t fresh,
                  uint64_t pages, uint64_t behind) const {
    if (size == 0) Reach().Count(kRefused);
    if (size > 0 && pages == 0) Reach().Count(kRestOnly);
    if (behind > 0 && offset != socket.end) Reach().Count(kMovedOn);
    if (fresh > 0 && fresh == pages) Reach().Count(kFewPages);
    if (model_.free_pages() == 0) Reach().Count(kFull);
    if (model_.free_pages() > 8 && model_.LongestRun() == 1) Reach().Count(kFragmented);
  }

  static uint32_t SizeOf(const Step& step, uint64_t room) {
    uint64_t size = 1 + step.value;
    switch (step.kind % 4) {
      case 0:
        size = room;
        break;
      case 1:
        size = 1 + step.value % 64U;
        break;
      case 2:
        size = 1 + step.value % kPage;
        break;
      default:
        break;
    }
    return static_cast<uint32_t>(std::min(size, room));
  }

  void Read(size_t index, uint64_t pages, const Step& step) {
    Socket& socket = sockets_[index];
    if (socket.closed) return;
    std::span<uint8_t> space = Offer(index, pages);
    if (space.empty()) return;
    uint32_t size = SizeOf(step, space.size());
    Piece piece = {index, model_.OffsetOf(space), size, ++stamp_};
    CopyArena::Taken taken = arena_.Take(socket.tail, size);
    DEMAND(taken.offset == piece.offset);
    DEMAND(taken.fresh == model_.Add(piece));
    CountRead(socket, piece);
    // What is kept grows with the memory in use.
    DEMAND(model_.chunks_touched() <= model_.most_chunks() + 1);
    socket.pieces.push_back(piece);
    socket.end = piece.offset + size;
    socket.last_size = size;
    socket.goes_on = true;
  }

  void CountRead(const Socket& socket, const Piece& piece) {
    bool first = socket.pieces.empty();
    lone_ = lone_ && piece.socket == 0;
    if (lone_ && !first && socket.end == piece.offset) Reach().Count(kSideBySide);
    if (ArenaModel::LastPage(piece) > piece.offset / kPage) Reach().Count(kAcrossPages);
    uint64_t chunk = piece.offset / kPage / ArenaModel::kChunkPages;
    bool last = chunk == (model_.pages() - 1) / ArenaModel::kChunkPages;
    if (last && model_.LastChunkPages() < ArenaModel::kChunkPages) Reach().Count(kPartialChunk);
    if (released_ > 0 && chunk + 1 < model_.chunks_touched()) Reach().Count(kChunksAgain);
  }

  // From the fragment that `which` picks on, as many as there are.
  void ReleaseMany(size_t index, size_t count, size_t which) {
    std::vector<Piece>& pieces = sockets_[index].pieces;
    size_t first = pieces.empty() ? 0 : which % pieces.size();
    size_t end = first + std::min(count, pieces.size() - first);
    for (size_t i = first; i < end; i++) Release(sockets_[index], pieces[i]);
    pieces.erase(pieces.begin() + static_cast<ptrdiff_t>(first),
                 pieces.begin() + static_cast<ptrdiff_t>(end));
    if (count == SIZE_MAX && !pieces.empty()) ReleaseMany(index, count, 0);
  }

  // One of so many.
  void ReleaseSome(size_t index, size_t every) {
    std::vector<Piece> kept;
    for (size_t i = 0; i < sockets_[index].pieces.size(); i++) {
      const Piece& piece = sockets_[index].pieces[i];
      if (i % every == 0) {
        Release(sockets_[index], piece);
      } else {
        kept.push_back(piece);
      }
    }
    sockets_[index].pieces = kept;
  }

  void Release(Socket& socket, const Piece& piece) {
    uint64_t first = piece.offset / kPage;
    uint64_t pages = ArenaModel::LastPage(piece) - first + 1;
    uint64_t freed = model_.Remove(piece);
    DEMAND(arena_.Release(socket.tail, piece.offset, piece.size) == freed);
    if (freed < pages) Reach().Count(kPageKept);
    Released(socket);
  }

  // Bytes of one fragment: what is left of it counts as fragments of its own.
  void ReleasePart(size_t index, const Step& step) {
    Socket& socket = sockets_[index];
    if (socket.pieces.empty()) return;
    auto at = socket.pieces.begin() + static_cast<ptrdiff_t>(step.value % socket.pieces.size());
    Piece piece = *at;
    uint32_t start = piece.size * (step.pages % 16U) / 16;
    uint32_t size = std::max<uint32_t>((piece.size - start) * (1 + step.kind / 2 % 16U) / 16, 1);
    socket.pieces.erase(at);
    uint64_t freed = model_.RemovePart(piece, start, size, socket.pieces);
    DEMAND(arena_.Release(socket.tail, piece.offset + start, size) == freed);
    if (size < piece.size) Reach().Count(kDivided);
    if (freed > 0 && start > 0 && start + size < piece.size) Reach().Count(kHole);
    Released(socket);
  }

  void Released(Socket& socket) {
    released_++;
    lone_ = false;
    if (socket.goes_on && model_.IsFree((socket.end - 1) / kPage)) {
      socket.goes_on = false;
      Reach().Count(kTailGone);
    }
  }

  // After the last release all of the memory can be had, once.
  void CheckWhole() {
    Socket& socket = sockets_.emplace_back();
    size_t index = sockets_.size() - 1;
    constexpr Step kAll = {0, 0, 0, 0, 0};
    while (model_.free_pages() > 0) Read(index, UINT64_MAX, kAll);
    uint64_t bytes = 0;
    for (const Piece& piece : socket.pieces) bytes += piece.size;
    DEMAND(bytes == model_.pages() * kPage);
    DEMAND(Offer(index, UINT64_MAX).empty());
    ReleaseMany(index, SIZE_MAX, 0);
  }

  std::span<uint8_t> memory_;
  CopyArena arena_;
  ArenaModel model_;
  std::vector<Socket> sockets_;
  uint8_t stamp_ = 0;
  bool lone_ = true;  // one socket alone has read, and released nothing
  uint64_t released_ = 0;
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
