// The kernel's devmem receive path: recvmsg(MSG_SOCK_DEVMEM), records in
// control messages, tokens returned by SO_DEVMEM_DONTNEED.
//
// A connection's packets may reach queues of several bindings, so a socket has
// one source or more, each with a pool of its own.
#pragma once

#include <sys/socket.h>

#include <deque>
#include <span>
#include <vector>

#include "receive/records.h"
#include "receive/scratch.h"
#include "receive/transport.h"

namespace devmem {

struct ReturnOutcome;

class CmsgTransport : public Transport {
 public:
  CmsgTransport(Scratch& scratch, Counters& counters) : scratch_(scratch), counters_(counters) {}
  ~CmsgTransport() override { Leave(); }

  int Join(Pool& pool) override;
  void Leave() override;
  FillResult Fill(int socket, BatchWriter& out, const FillOrder& order) override;
  uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count) override;
  int Return(int socket) override;
  bool Replenished() const override;
  bool HasRoom() const override { return Available(Demand::kWaiting).frags > 0; }
  bool HoldsAll() const override;

 protected:
  // Gives tokens back, at most as many as were unpinned. May change their order.
  virtual ReturnOutcome GiveBack(int socket, std::span<uint32_t> tokens);
  // What part of a binding's memory is being given back; of several bindings, the sum.
  double unpinned_share() const { return unpinned_share_; }

  // One call of recvmsg, for so many fragments at most: what it returned, or -1 with errno.
  virtual ssize_t Call(int socket, msghdr& message, uint64_t frags);
  // Whether it had room to tell of more.
  virtual bool HadRoom(const msghdr& message, uint64_t frags) const;
  // Appends descriptors of what it told of. 0 or -errno, as ParseRecords.
  virtual int TakeTold(const msghdr& message, uint64_t received, uint64_t linear_offset,
                       BatchWriter& out, RecordTotals& totals);

  std::span<const Source> sources() const { return sources_; }
  Counters& counters() { return counters_; }

 private:
  struct Room {
    uint64_t bytes;
    uint64_t frags;
  };
  // What one call may deliver without passing any source's limit: in which of
  // them a fragment lies is known only once it is there.
  Room Available(Demand demand) const;
  enum class Outcome {
    kFull,   // there may be more
    kSpare,  // with room to spare: mostly that was all, and another call only says EAGAIN
    kOver,   // drained, ended or failed
  };
  // One recvmsg of at most `bytes` in at most `frags` fragments.
  Outcome ReceiveOnce(int socket, uint64_t bytes, uint64_t frags, BatchWriter& out,
                      FillResult& result);
  void Count(const RecordTotals& totals);
  void Reject(int socket, BatchWriter& out, uint32_t first);
  int ReturnAndCount(int socket, std::span<uint32_t> tokens);

  std::vector<Source> sources_;
  std::deque<Account> accounts_;  // one for each source; grows without moving any
  std::vector<uint32_t> tokens_;  // unpinned, to be returned
  double unpinned_share_ = 0;
  Scratch& scratch_;
  Counters& counters_;
};

}  // namespace devmem
