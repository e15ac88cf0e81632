// The fallback: plain recv into host memory, one copy by the kernel. The same
// fragments, leases and pools as on the devmem path.
#pragma once

#include "receive/copy_arena.h"
#include "receive/transport.h"

namespace devmem {

class CopyTransport : public Transport {
 public:
  explicit CopyTransport(Counters& counters) : counters_(counters) {}
  ~CopyTransport() override { Leave(); }

  // One pool with an arena: which memory a connection's bytes are copied to is the
  // receiver's own choice, and there is nothing that a second one could be for.
  int Join(Pool& pool) override;
  void Leave() override;
  FillResult Fill(int socket, BatchWriter& out, const FillOrder& order) override;
  bool CanFillInto() const override { return true; }
  FillResult FillInto(int socket, std::span<uint8_t> space, const FillOrder& order) override;
  uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count) override;
  bool UnpinPart(SlotColumns& slot, uint32_t index, uint32_t at, uint32_t size) override;
  // Memory that is free was given back.
  int Return(int) override { return 0; }
  bool Replenished() const override { return pool_->Replenished(account_); }
  bool HasRoom() const override { return FreePages(Demand::kWaiting) > 0; }
  bool HoldsAll() const override { return pool_->held() == account_.held; }

 private:
  // What one wake may copy before other sockets have their turn, in bytes.
  static constexpr uint64_t kBudget = 2 << 20;
  // What one call may read, in bytes. TCP answers each with an acknowledgement, which costs
  // CPU; but a fast sender waits for it, and a connection alone then for the sender.
  static constexpr uint64_t kMostAlone = 128 << 10;
  // A read of so much was probably one of many, and more has come while it was copied:
  // to look costs a call, to be woken for it several.
  static constexpr uint32_t kBulk = 16 << 10;

  uint64_t FreePages(Demand demand) const {
    return pool_->Available(account_, demand) >> CopyArena::kPageShift;
  }
  uint64_t MostOfCall() const { return pool_->members() > 1 ? kBudget : kMostAlone; }
  // One call. What it gave, or 0 and why in `result`.
  uint32_t Receive(int socket, std::span<uint8_t> space, FillResult& result);
  static bool TookAll(uint32_t size, size_t asked, const FillOrder& order);
  void Add(uint32_t size, BatchWriter& out);

  Pool* pool_ = nullptr;
  Account account_;
  CopyArena::Tail tail_;
  Counters& counters_;
};

}  // namespace devmem
