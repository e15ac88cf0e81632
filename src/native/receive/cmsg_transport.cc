#include "receive/cmsg_transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "receive/batch_writer.h"
#include "receive/token_ranges.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

size_t ControlRoom(uint64_t frags) {
  return std::min(frags * uapi::kRecordSpace, Scratch::kControlSize);
}

// Where the descriptors of this source that follow each other from `index` on end, at
// most at `end`. Compared by the block, several to an instruction: mostly they are all.
uint32_t RunEnd(const uint32_t* owners, uint32_t index, uint32_t end, uint32_t id) {
  constexpr uint32_t kBlock = 16;
  for (; end - index >= kBlock; index += kBlock) {
    uint32_t differ = 0;
    for (uint32_t i = 0; i < kBlock; i++) differ |= owners[index + i] ^ id;
    if (differ != 0) break;
  }
  while (index < end && owners[index] == id) index++;
  return index;
}

// Marks a run of descriptors of this source as released, and takes their pages off the
// account with it. Returns how many bytes those are.
uint64_t UnpinRun(SlotColumns& slot, uint32_t index, uint32_t end, const Source& source) {
  uint64_t pages = std::reduce(slot.pages + index, slot.pages + end, uint64_t{0});
  std::fill(slot.owners + index, slot.owners + end, kReleasedSource);
  source.pool->Discharge(*source.account, pages << source.page_shift);
  return pages << source.page_shift;
}

}  // namespace

int CmsgTransport::Join(Pool& pool) {
  if (IsMark(pool.id())) return -EINVAL;
  if (FindSource(sources_, pool.id()) != nullptr) return -EEXIST;
  Account& account = accounts_.emplace_back();
  sources_.emplace_back(pool, account);
  pool.Join(account);
  return 0;
}

void CmsgTransport::Leave() {
  for (const Source& source : sources_) source.pool->Leave(*source.account);
}

CmsgTransport::Room CmsgTransport::Available(Demand demand) const {
  Room least = {Scratch::kLinearSize, UINT32_MAX};
  for (const Source& source : sources_) {
    uint64_t bytes = source.pool->Available(*source.account, demand);
    least.bytes = std::min(least.bytes, bytes);
    least.frags = std::min(least.frags, bytes >> source.page_shift);
  }
  return least;
}

bool CmsgTransport::HoldsAll() const {
  for (size_t i = 0; i < sources_.size(); i++) {
    if (sources_[i].pool->held() != accounts_[i].held) return false;
  }
  return true;
}

bool CmsgTransport::Replenished() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const Source& source) {
    return source.pool->Replenished(*source.account);
  });
}

FillResult CmsgTransport::Fill(int socket, BatchWriter& out, const FillOrder& order) {
  FillResult result;
  if (!scratch_.Ready()) {
    result.error = -ENOMEM;
    return result;
  }
  Outcome outcome = Outcome::kFull;
  while (outcome != Outcome::kOver && out.room() > 0) {
    // Readable data behind unreadable ends a call too: it makes the next wake.
    if (outcome == Outcome::kSpare && !order.until_drained) break;
    Room available = Available(order.demand);
    if (available.frags == 0) {
      result.short_of_memory = true;
      break;
    }
    uint64_t linear_room = Scratch::kLinearSize - result.linear_bytes;
    uint64_t bytes = std::min(available.bytes, linear_room);
    if (bytes == 0) break;
    uint64_t frags = std::min<uint64_t>(out.room(), available.frags);
    outcome = ReceiveOnce(socket, bytes, frags, out, result);
  }
  return result;
}

ssize_t CmsgTransport::Call(int socket, msghdr& message, uint64_t frags) {
  ssize_t received;
  do {
    message.msg_controllen = ControlRoom(frags);
    counters_.receive_calls++;
    received = recvmsg(socket, &message, uapi::kMsgSockDevmem | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  return received;
}

bool CmsgTransport::HadRoom(const msghdr& message, uint64_t frags) const {
  return message.msg_controllen + uapi::kRecordSpace <= ControlRoom(frags);
}

int CmsgTransport::TakeTold(const msghdr& message, uint64_t received, uint64_t linear_offset,
                            BatchWriter& out, RecordTotals& totals) {
  std::span<const uint8_t> control(scratch_.control(), message.msg_controllen);
  return ParseRecords(control, received, linear_offset, sources_, out, totals);
}

CmsgTransport::Outcome CmsgTransport::ReceiveOnce(int socket, uint64_t bytes, uint64_t frags,
                                                  BatchWriter& out, FillResult& result) {
  iovec io = {scratch_.linear() + result.linear_bytes, bytes};
  msghdr message = {};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = scratch_.control();
  ssize_t received = Call(socket, message, frags);

  if (received < 0) {
    result.drained = errno == EAGAIN || errno == EWOULDBLOCK;
    if (!result.drained) result.error = -errno;
    return Outcome::kOver;
  }
  if (received == 0) {
    result.end = true;
    return Outcome::kOver;
  }

  uint32_t first = out.count();
  RecordTotals totals;
  int status = TakeTold(message, static_cast<uint64_t>(received), result.linear_bytes, out, totals);
  if (status != 0) {
    Reject(socket, out, first);
    result.error = status;
    return Outcome::kOver;
  }
  Count(totals);
  result.bytes += static_cast<uint64_t>(received);
  result.linear_bytes += totals.linear_bytes;
  return HadRoom(message, frags) && static_cast<uint64_t>(received) < bytes ? Outcome::kSpare
                                                                            : Outcome::kFull;
}

void CmsgTransport::Count(const RecordTotals& totals) {
  counters_.device_bytes += static_cast<double>(totals.device_bytes);
  counters_.linear_bytes += static_cast<double>(totals.linear_bytes);
  counters_.tokens_taken += totals.device_frags;
}

// A call whose records make no sense: its tokens go back, its bytes are lost
// with the connection, which the receiver's owner closes.
void CmsgTransport::Reject(int socket, BatchWriter& out, uint32_t first) {
  std::vector<uint32_t> tokens;
  for (uint32_t i = first; i < out.count(); i++) {
    if (out.owner(i) != kLinearSource) tokens.push_back(out.token(i));
  }
  size_t others = tokens_.size();
  Unpin(out.slot(), out.begin() + first, out.count() - first);
  tokens_.resize(others);  // the valid ones are among `tokens`
  out.Truncate(first);
  counters_.tokens_taken += static_cast<double>(tokens.size());
  ReturnAndCount(socket, tokens);
}

uint32_t CmsgTransport::Unpin(SlotColumns& slot, uint32_t index, uint32_t count) {
  uint32_t end = index + count;
  uint32_t released = 0;
  while (index < end) {
    uint32_t id = slot.owners[index];
    if (const Source* source = FindSource(sources_, id)) {
      uint32_t next = RunEnd(slot.owners, index, end, id);
      uint64_t bytes = UnpinRun(slot, index, next, *source);
      unpinned_share_ += static_cast<double>(bytes) / static_cast<double>(source->size);
      tokens_.insert(tokens_.end(), slot.tokens + index, slot.tokens + next);
      released += next - index;
      index = next;
      continue;
    }
    // Others were released before, or lie in another socket's memory.
    if (id == kLinearSource) {
      slot.owners[index] = kReleasedSource;
      released++;
    }
    index++;
  }
  return released;
}

int CmsgTransport::Return(int socket) {
  if (tokens_.empty()) return 0;
  int status = ReturnAndCount(socket, tokens_);
  tokens_.clear();
  unpinned_share_ = 0;
  return status;
}

ReturnOutcome CmsgTransport::GiveBack(int socket, std::span<uint32_t> tokens) {
  return ReturnTokens(socket, tokens);
}

int CmsgTransport::ReturnAndCount(int socket, std::span<uint32_t> tokens) {
  ReturnOutcome outcome = GiveBack(socket, tokens);
  counters_.return_calls += outcome.calls;
  counters_.tokens_returned += outcome.freed;
  if (outcome.error != 0) {
    counters_.return_errors++;
  } else {
    counters_.tokens_missed += static_cast<double>(tokens.size() - outcome.freed);
  }
  return outcome.error;
}

}  // namespace devmem
