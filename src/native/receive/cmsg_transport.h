// The kernel's devmem receive path: recvmsg(MSG_SOCK_DEVMEM), records in
// control messages, tokens returned by SO_DEVMEM_DONTNEED.
#pragma once

#include <vector>

#include "receive/records.h"
#include "receive/scratch.h"
#include "receive/transport.h"

namespace devmem {

class CmsgTransport : public Transport {
 public:
  CmsgTransport(std::vector<Source> sources, Scratch& scratch, Credits& credits, Counters& counters)
      : sources_(std::move(sources)), scratch_(scratch), credits_(credits), counters_(counters) {}

  FillResult Fill(int socket, BatchWriter& out) override;
  int Release(int socket, std::span<uint32_t> tokens, uint64_t pinned) override;
  uint64_t Pinned(uint64_t offset, uint32_t size) const override;

 private:
  // One recvmsg of at most `bytes` in at most `frags` fragments. Sets `more`
  // to false where the socket is drained, ended or failed.
  void ReceiveOnce(int socket, uint64_t bytes, uint64_t frags, BatchWriter& out, FillResult& result,
                   bool& more);
  void Account(BatchWriter& out, uint32_t first, const RecordTotals& totals);
  void Reject(int socket, BatchWriter& out, uint32_t first);
  int ReturnAndCount(int socket, std::span<uint32_t> tokens);

  std::vector<Source> sources_;
  Scratch& scratch_;
  Credits& credits_;
  Counters& counters_;
};

}  // namespace devmem
