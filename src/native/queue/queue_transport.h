// The kernel's devmem receive path for a socket that is attached to its thread's token
// queue: as CmsgTransport, but tokens go back by the queue. One that cannot be attached is
// as any other.
#pragma once

#include <memory>

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

 protected:
  ReturnOutcome GiveBack(int socket, std::span<uint32_t> tokens) override;

 private:
  void Forget();

  std::shared_ptr<TokenQueue> queue_;
  TokenQueue::Cookie cookie_ = 0;  // while it is attached
  bool queued_ = false;            // whether it ever was
};

}  // namespace devmem
