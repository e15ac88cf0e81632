#include "queue/queue_transport.h"

#include "receive/token_ranges.h"

namespace devmem {

void QueueTransport::Attach(int socket) {
  cookie_ = queue_->Attach(socket);
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
  double calls = counters().receive_calls;
  FillResult result = CmsgTransport::Fill(socket, out, order);
  if (cookie_ != 0 && counters().receive_calls > calls) queue_->NoteRead();
  return result;
}

ReturnOutcome QueueTransport::GiveBack(int socket, std::span<uint32_t> tokens) {
  size_t given = queue_->GiveBack(cookie_, tokens, unpinned_share(), counters());
  ReturnOutcome outcome;
  if (given < tokens.size()) outcome = ReturnTokens(socket, tokens.subspan(given));
  outcome.freed += static_cast<uint32_t>(given);
  return outcome;
}

}  // namespace devmem
