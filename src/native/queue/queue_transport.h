// The kernel's devmem receive path for a socket that is attached to its thread's token
// queue: as CmsgTransport, but tokens go back by the queue, and where it has a ring for that,
// the kernel tells of fragments there. One that cannot be attached is as any other.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "queue/token_queue.h"
#include "receive/cmsg_transport.h"

namespace devmem {

class QueueTransport : public CmsgTransport {
 public:
  QueueTransport(std::shared_ptr<TokenQueue> queue, Scratch& scratch, Counters& counters)
      : CmsgTransport(scratch, counters), queue_(std::move(queue)) {}
  ~QueueTransport() override { Forget(); }

  void Attach(int socket) override;
  void Detach(int socket) override;
  bool Queued() const override { return queued_; }
  FillResult Fill(int socket, BatchWriter& out, const FillOrder& order) override;

  // A part of its stream was told of elsewhere. False where it had ended for that before.
  bool Break() { return !std::exchange(broken_, true); }

 protected:
  ssize_t Call(int socket, msghdr& message, uint64_t frags) override;
  bool HadRoom(const msghdr& message, uint64_t frags) const override;
  int TakeTold(const msghdr& message, uint64_t received, uint64_t linear_offset, BatchWriter& out,
               RecordTotals& totals) override;
  ReturnOutcome GiveBack(int socket, std::span<uint32_t> tokens) override;

 private:
  void Forget();
  bool by_ring() const { return cookie_ != 0 && queue_->fragments().attached(); }
  bool TakeEntries(uint32_t most);
  void Drop(int socket);

  std::shared_ptr<TokenQueue> queue_;
  TokenQueue::Cookie cookie_ = 0;  // while it is attached
  bool queued_ = false;            // whether it ever was
  bool broken_ = false;
  bool believed_ = true;          // what the ring said after the last call
  std::vector<ToldRecord> told_;  // of the last call, by the ring
};

}  // namespace devmem
