#include "receive/copy_transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "receive/batch_writer.h"

namespace devmem {

namespace {

// Where a fragment lies, in the 64 bits that a descriptor has for what gives it back: 43 of
// its offset, and 21 of its size, less one.
struct Extent {
  uint64_t offset;  // bytes
  uint32_t size;    // bytes

  static constexpr uint32_t kSizeBits = 21;
  static_assert(CopyArena::kMostBytes <= 1 << kSizeBits);
  static_assert(CopyArena::kMostMemory <= uint64_t{1} << (64 - kSizeBits));

  static Extent Of(const SlotColumns& slot, uint32_t index) {
    uint64_t bits = uint64_t{slot.tokens[index]} << 32 | slot.pages[index];
    return {bits >> kSizeBits, static_cast<uint32_t>(bits % (1 << kSizeBits)) + 1};
  }
  void AddTo(BatchWriter& out, uint32_t source) const {
    uint64_t bits = offset << kSizeBits | (size - 1);
    out.Add(offset, size, static_cast<uint32_t>(bits >> 32), source, static_cast<uint32_t>(bits));
  }
};

}  // namespace

int CopyTransport::Join(Pool& pool) {
  if (pool_ == &pool) return -EEXIST;
  if (pool_ != nullptr || pool.arena() == nullptr) return -EINVAL;
  if (IsMark(pool.id())) return -EINVAL;
  pool_ = &pool;
  pool.Join(account_);
  return 0;
}

void CopyTransport::Leave() {
  if (pool_ != nullptr) pool_->Leave(account_);
}

FillResult CopyTransport::Fill(int socket, BatchWriter& out, const FillOrder& order) {
  FillResult result;
  while (out.room() > 0 && result.bytes < kBudget) {
    std::span<uint8_t> space = pool_->arena()->Space(tail_, FreePages(order.demand));
    if (space.empty()) {
      result.short_of_memory = true;
      break;
    }
    space = space.first(std::min<uint64_t>(space.size(), MostOfCall()));
    uint32_t size = Receive(socket, space, result);
    if (size == 0) break;
    Add(size, out);
    if (TookAll(size, space.size(), order)) break;
    result.spent = result.bytes >= kBudget;
  }
  counters_.copied_bytes += static_cast<double>(result.bytes);
  return result;
}

FillResult CopyTransport::FillInto(int socket, std::span<uint8_t> space, const FillOrder& order) {
  FillResult result;
  while (!space.empty() && result.bytes < kBudget) {
    size_t most = std::min<uint64_t>(space.size(), MostOfCall());
    uint32_t size = Receive(socket, space.first(most), result);
    if (size == 0) break;
    space = space.subspan(size);
    if (TookAll(size, most, order)) break;
    result.spent = result.bytes >= kBudget;
  }
  counters_.copied_bytes += static_cast<double>(result.bytes);
  return result;
}

uint32_t CopyTransport::Receive(int socket, std::span<uint8_t> space, FillResult& result) {
  ssize_t received;
  do {
    counters_.receive_calls++;
    received = recv(socket, space.data(), space.size(), MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    result.drained = errno == EAGAIN || errno == EWOULDBLOCK;
    if (!result.drained) result.error = -errno;
    return 0;
  }
  result.end = received == 0;
  result.bytes += static_cast<uint64_t>(received);
  return static_cast<uint32_t>(received);
}

// A short read took all there was: another would only say EAGAIN, most likely.
bool CopyTransport::TookAll(uint32_t size, size_t asked, const FillOrder& order) {
  return size < asked && size < kBulk && !order.until_drained;
}

void CopyTransport::Add(uint32_t size, BatchWriter& out) {
  CopyArena::Taken taken = pool_->arena()->Take(tail_, size);
  pool_->Charge(account_, uint64_t{taken.fresh} << CopyArena::kPageShift);
  Extent{taken.offset, size}.AddTo(out, pool_->id());
}

uint32_t CopyTransport::Unpin(SlotColumns& slot, uint32_t index, uint32_t count) {
  uint32_t released = 0;
  uint64_t freed = 0;
  for (uint32_t i = index; i < index + count; i++) {
    bool divided = slot.owners[i] == kDividedSource;
    if (!divided && slot.owners[i] != pool_->id()) continue;
    slot.owners[i] = kReleasedSource;
    released++;
    if (divided) continue;
    Extent extent = Extent::Of(slot, i);
    freed += pool_->arena()->Release(tail_, extent.offset, extent.size);
  }
  pool_->Discharge(account_, freed << CopyArena::kPageShift);
  return released;
}

bool CopyTransport::UnpinPart(SlotColumns& slot, uint32_t index, uint32_t at, uint32_t size) {
  bool divided = slot.owners[index] == kDividedSource;
  if (!divided && slot.owners[index] != pool_->id()) return false;
  Extent extent = Extent::Of(slot, index);
  if (size == 0 || at >= extent.size || size > extent.size - at) return false;
  // A divided one may be of another memory.
  if (!pool_->arena()->Used(extent.offset)) return false;
  slot.owners[index] = kDividedSource;
  uint64_t freed = pool_->arena()->Release(tail_, extent.offset + at, size);
  pool_->Discharge(account_, freed << CopyArena::kPageShift);
  return true;
}

}  // namespace devmem
