#include "queue/queue_transport.h"

#include <algorithm>
#include <cerrno>

#include "receive/batch_writer.h"
#include "receive/token_ranges.h"

namespace devmem {

void QueueTransport::Attach(int socket) {
  cookie_ = queue_->Attach(socket, *this);
  queued_ = cookie_ != 0;
}

void QueueTransport::Detach(int socket) {
  queue_->Detach(socket, cookie_);
  Forget();
}

void QueueTransport::Forget() {
  queue_->Forget(cookie_, counters());
  cookie_ = 0;
}

FillResult QueueTransport::Fill(int socket, BatchWriter& out, const FillOrder& order) {
  if (broken_) return {.error = -EBADMSG};
  double calls = counters().receive_calls;
  FillResult result = CmsgTransport::Fill(socket, out, order);
  if (cookie_ != 0 && counters().receive_calls > calls) queue_->NoteRead();
  return result;
}

ssize_t QueueTransport::Call(int socket, msghdr& message, uint64_t frags) {
  told_.clear();
  believed_ = true;
  if (!by_ring()) return CmsgTransport::Call(socket, message, frags);
  FragmentRing& ring = queue_->fragments();
  uint32_t most = static_cast<uint32_t>(std::min<uint64_t>(frags, ring.size()));
  ring.Offer(most);
  ssize_t received = CmsgTransport::Call(socket, message, frags);
  int error = errno;
  believed_ = TakeEntries(most);
  ring.Offer(0);
  // Without bytes there is nothing that it could have told of.
  if (!believed_ && received > 0) Break();
  if (received < 0 || !believed_) Drop(socket);
  errno = error;
  return received;
}

// Copies what the kernel told of. False where that cannot be.
bool QueueTransport::TakeEntries(uint32_t most) {
  FragmentRing& ring = queue_->fragments();
  uint32_t written = ring.Written();
  // What is there, nothing tells. Where it is found later, it is a stray.
  if (written > most) return false;
  bool own = true;
  for (; written > 0; written--) {
    uapi::DevmemQueueFragment entry = ring.Take();
    if (entry.cookie != cookie_) {
      if (queue_->OnStray(entry.cookie)) own = false;
      continue;
    }
    told_.push_back({{entry.frag_offset, entry.frag_size, entry.frag_token, entry.dmabuf_id, 0},
                     (entry.flags & uapi::kDevmemFragmentLinear) != 0});
  }
  return own;
}

// Of a call that failed, or is not believed: nothing of it is handed out.
void QueueTransport::Drop(int socket) {
  std::vector<uint32_t> tokens;
  for (const ToldRecord& each : told_) {
    if (!each.linear) tokens.push_back(each.record.frag_token);
  }
  told_.clear();
  if (!tokens.empty()) GiveBack(socket, tokens);
}

bool QueueTransport::HadRoom(const msghdr& message, uint64_t frags) const {
  return told_.empty() ? CmsgTransport::HadRoom(message, frags) : told_.size() < frags;
}

int QueueTransport::TakeTold(const msghdr& message, uint64_t received, uint64_t linear_offset,
                             BatchWriter& out, RecordTotals& totals) {
  if (!believed_) return -EBADMSG;
  // Regular data, of which nothing tells, and what control messages tell of.
  if (told_.empty()) {
    return CmsgTransport::TakeTold(message, received, linear_offset, out, totals);
  }
  return AddRecords(told_, received, linear_offset, sources(), out, totals);
}

ReturnOutcome QueueTransport::GiveBack(int socket, std::span<uint32_t> tokens) {
  size_t given = queue_->GiveBack(cookie_, tokens, unpinned_share(), counters());
  ReturnOutcome outcome;
  if (given < tokens.size()) outcome = ReturnTokens(socket, tokens.subspan(given));
  outcome.freed += static_cast<uint32_t>(given);
  return outcome;
}

}  // namespace devmem
