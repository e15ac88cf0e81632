#include "receive/copy_transport.h"

#include <sys/socket.h>

#include <cerrno>

#include "receive/frag_ring.h"

namespace devmem {

FillResult CopyTransport::Fill(int socket, BatchWriter& out, bool until_drained) {
  FillResult result;
  while (out.room() > 0 && result.bytes < kBudget) {
    std::span<uint8_t> space = arena_->Space();
    if (space.empty()) {
      result.stalled = true;
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
    uint32_t token;
    uint32_t size = static_cast<uint32_t>(received);
    uint64_t offset = arena_->Take(size, &token);
    out.Add(offset, size, token, source_);
    result.bytes += size;
    // A short read took all there was: another would only say EAGAIN, most likely.
    if (size < space.size() && size < kBulk && !until_drained) break;
  }
  counters_.copied_bytes += static_cast<double>(result.bytes);
  return result;
}

uint32_t CopyTransport::Unpin(SlotColumns& slot, uint32_t index, uint32_t count,
                              std::vector<uint32_t>& tokens) {
  uint32_t released = 0;
  for (uint32_t i = index; i < index + count; i++) {
    if (slot.sources[i] == kReleasedSource) continue;
    slot.sources[i] = kReleasedSource;
    tokens.push_back(slot.tokens[i]);
    released++;
  }
  return released;
}

int CopyTransport::Release(int, std::span<uint32_t> tokens) {
  arena_->Release(tokens);
  return 0;
}

}  // namespace devmem
