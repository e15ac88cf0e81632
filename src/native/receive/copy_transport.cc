#include "receive/copy_transport.h"

#include <sys/socket.h>

#include <cerrno>

#include "receive/frag_ring.h"

namespace devmem {

FillResult CopyTransport::Fill(int socket, BatchWriter& out) {
  FillResult result;
  uint64_t copied = 0;
  while (out.room() > 0 && copied < kBudget) {
    std::span<uint8_t> space = arena_->Space();
    if (space.empty()) {
      result.stalled = true;
      break;
    }
    counters_.receive_calls++;
    ssize_t received = recv(socket, space.data(), space.size(), MSG_DONTWAIT);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) result.error = -errno;
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
    copied += size;
    // A short read drained the socket: the next one would only say EAGAIN.
    if (size < space.size()) break;
  }
  counters_.copied_bytes += static_cast<double>(copied);
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
