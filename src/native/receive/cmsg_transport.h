// The kernel's devmem receive path: recvmsg(MSG_SOCK_DEVMEM), records in
// control messages, tokens returned by SO_DEVMEM_DONTNEED.
//
// A connection's packets may reach queues of several bindings, so a socket has
// one source or more, each with credits of its own.
#pragma once

#include <vector>

#include "receive/records.h"
#include "receive/scratch.h"
#include "receive/transport.h"

namespace devmem {

class CmsgTransport : public Transport {
 public:
  CmsgTransport(Scratch& scratch, Counters& counters) : scratch_(scratch), counters_(counters) {}

  // Fragments may come from `source` too, whose credits outlive this object. 0,
  // -EEXIST for an id that is there already, -EINVAL for one that none can have.
  int AddSource(const Source& source);

  FillResult Fill(int socket, BatchWriter& out, bool until_drained) override;
  uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count,
                 std::vector<uint32_t>& tokens) override;
  int Release(int socket, std::span<uint32_t> tokens) override;

 private:
  struct Room {
    uint64_t bytes;
    uint64_t frags;
  };
  // What one call may deliver without passing any source's limit: in which of
  // them a fragment lies is known only once it is there.
  Room Available() const;
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
  Scratch& scratch_;
  Counters& counters_;
};

}  // namespace devmem
