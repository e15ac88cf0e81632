// The fallback: plain recv into host memory, one copy by the kernel. The same
// fragments, leases and credits as on the devmem path.
#pragma once

#include <memory>

#include "receive/copy_arena.h"
#include "receive/transport.h"

namespace devmem {

class CopyTransport : public Transport {
 public:
  CopyTransport(std::shared_ptr<CopyArena> arena, uint32_t source, Counters& counters)
      : arena_(std::move(arena)), source_(source), counters_(counters) {}

  FillResult Fill(int socket, BatchWriter& out, bool until_drained) override;
  int Release(int socket, std::span<uint32_t> tokens) override;
  // The arena accounts by chunks itself.
  uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count,
                 std::vector<uint32_t>& tokens) override;

 private:
  // What one wake may copy before other sockets have their turn, in bytes.
  static constexpr uint64_t kBudget = 1 << 20;
  // A read of so much was probably one of many, and more has come while it was copied:
  // to look costs a call, to be woken for it several.
  static constexpr uint32_t kBulk = 16 << 10;

  std::shared_ptr<CopyArena> arena_;
  uint32_t source_;
  Counters& counters_;
};

}  // namespace devmem
