#include "receive/cmsg_transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <numeric>

#include "receive/batch_writer.h"
#include "receive/token_ranges.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

constexpr uint64_t kMinPageSize = 4096;

// net/core/devmem.c hands memory to drivers in units of PAGE_SIZE, or of the size that
// the binding asked for, both powers of two.
uint32_t PageShift(const Credits& credits) {
  uint64_t page = credits.unit > kMinPageSize ? static_cast<uint64_t>(credits.unit) : kMinPageSize;
  return static_cast<uint32_t>(std::bit_width(page) - 1);
}

// Where the descriptors of this source that follow each other from `index` on end, at
// most at `end`. Compared by the block, several to an instruction: mostly they are all.
uint32_t RunEnd(const uint32_t* sources, uint32_t index, uint32_t end, uint32_t id) {
  constexpr uint32_t kBlock = 16;
  for (; end - index >= kBlock; index += kBlock) {
    uint32_t differ = 0;
    for (uint32_t i = 0; i < kBlock; i++) differ |= sources[index + i] ^ id;
    if (differ != 0) break;
  }
  while (index < end && sources[index] == id) index++;
  return index;
}

// Marks a run of descriptors of this source as released, and takes their pages off its
// credits.
void UnpinRun(SlotColumns& slot, uint32_t index, uint32_t end, const Source& source) {
  uint64_t pages = std::reduce(slot.pages + index, slot.pages + end, uint64_t{0});
  std::fill(slot.sources + index, slot.sources + end, kReleasedSource);
  source.credits->held -= static_cast<double>(pages << source.page_shift);
}

}  // namespace

int CmsgTransport::AddSource(const Source& source) {
  if (source.id == kLinearSource || source.id == kReleasedSource) return -EINVAL;
  for (const Source& each : sources_) {
    if (each.id == source.id) return -EEXIST;
  }
  sources_.push_back(source);
  sources_.back().page_shift = PageShift(*source.credits);
  return 0;
}

CmsgTransport::Room CmsgTransport::Available() const {
  Room least = {Scratch::kLinearSize, UINT32_MAX};
  for (const Source& source : sources_) {
    double left = source.credits->limit - source.credits->held;
    uint64_t bytes = left > 0 ? static_cast<uint64_t>(left) : 0;
    least.bytes = std::min(least.bytes, bytes);
    least.frags = std::min(least.frags, bytes >> source.page_shift);
  }
  return least;
}

FillResult CmsgTransport::Fill(int socket, BatchWriter& out, bool until_drained) {
  FillResult result;
  if (!scratch_.Ready()) {
    result.error = -ENOMEM;
    return result;
  }
  Outcome outcome = Outcome::kFull;
  while (outcome != Outcome::kOver && out.room() > 0) {
    // Readable data behind unreadable ends a call too: it makes the next wake.
    if (outcome == Outcome::kSpare && !until_drained) break;
    Room available = Available();
    if (available.frags == 0) {
      result.stalled = true;
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

CmsgTransport::Outcome CmsgTransport::ReceiveOnce(int socket, uint64_t bytes, uint64_t frags,
                                                  BatchWriter& out, FillResult& result) {
  iovec io = {scratch_.linear() + result.linear_bytes, bytes};
  msghdr message = {};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = scratch_.control();
  size_t control_room = std::min(frags * uapi::kRecordSpace, Scratch::kControlSize);
  message.msg_controllen = control_room;

  ssize_t received;
  do {
    counters_.receive_calls++;
    received = recvmsg(socket, &message, uapi::kMsgSockDevmem | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);

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
  std::span<const uint8_t> control(scratch_.control(), message.msg_controllen);
  int status = ParseRecords(control, static_cast<uint64_t>(received), result.linear_bytes, sources_,
                            out, totals);
  if (status != 0) {
    Reject(socket, out, first);
    result.error = status;
    return Outcome::kOver;
  }
  Count(totals);
  result.bytes += static_cast<uint64_t>(received);
  result.linear_bytes += totals.linear_bytes;
  bool spare = message.msg_controllen + uapi::kRecordSpace <= control_room;
  return spare && static_cast<uint64_t>(received) < bytes ? Outcome::kSpare : Outcome::kFull;
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
    if (out.source(i) != kLinearSource) tokens.push_back(out.token(i));
  }
  std::vector<uint32_t> valid;
  Unpin(out.slot(), out.begin() + first, out.count() - first, valid);
  out.Truncate(first);
  counters_.tokens_taken += static_cast<double>(tokens.size());
  ReturnAndCount(socket, tokens);
}

uint32_t CmsgTransport::Unpin(SlotColumns& slot, uint32_t index, uint32_t count,
                              std::vector<uint32_t>& tokens) {
  uint32_t end = index + count;
  uint32_t released = 0;
  while (index < end) {
    uint32_t id = slot.sources[index];
    if (const Source* source = FindSource(sources_, id)) {
      uint32_t next = RunEnd(slot.sources, index, end, id);
      UnpinRun(slot, index, next, *source);
      tokens.insert(tokens.end(), slot.tokens + index, slot.tokens + next);
      released += next - index;
      index = next;
      continue;
    }
    if (id != kReleasedSource) released++;
    slot.sources[index++] = kReleasedSource;
  }
  return released;
}

int CmsgTransport::Release(int socket, std::span<uint32_t> tokens) {
  return ReturnAndCount(socket, tokens);
}

int CmsgTransport::ReturnAndCount(int socket, std::span<uint32_t> tokens) {
  ReturnOutcome outcome = ReturnTokens(socket, tokens);
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
