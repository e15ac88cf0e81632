#include "receive/copy_transport.h"

#include <sys/socket.h>

#include <cerrno>

#include "receive/batch_writer.h"

namespace devmem {

int CopyTransport::Join(Pool& pool) {
  if (pool_ == &pool) return -EEXIST;
  if (pool_ != nullptr || pool.arena() == nullptr) return -EINVAL;
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
    counters_.receive_calls++;
    ssize_t received = recv(socket, space.data(), space.size(), MSG_DONTWAIT);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) {
      result.drained = errno == EAGAIN || errno == EWOULDBLOCK;
      if (!result.drained) result.error = -errno;
      break;
    }
    if (received == 0) {
      result.end = true;
      break;
    }
    uint32_t size = static_cast<uint32_t>(received);
    Add(size, out);
    result.bytes += size;
    // A short read took all there was: another would only say EAGAIN, most likely.
    if (size < space.size() && size < kBulk && !order.until_drained) break;
  }
  counters_.copied_bytes += static_cast<double>(result.bytes);
  return result;
}

void CopyTransport::Add(uint32_t size, BatchWriter& out) {
  CopyArena::Taken taken = pool_->arena()->Take(tail_, size);
  pool_->Charge(account_, uint64_t{taken.fresh} << CopyArena::kPageShift);
  out.Add(taken.offset, size, taken.page, pool_->id(), taken.pages);
}

uint32_t CopyTransport::Unpin(SlotColumns& slot, uint32_t index, uint32_t count) {
  uint32_t released = 0;
  uint64_t freed = 0;
  for (uint32_t i = index; i < index + count; i++) {
    if (slot.owners[i] == kReleasedSource) continue;
    slot.owners[i] = kReleasedSource;
    freed += pool_->arena()->Release(tail_, slot.tokens[i], slot.pages[i]);
    released++;
  }
  pool_->Discharge(account_, freed << CopyArena::kPageShift);
  return released;
}

}  // namespace devmem
