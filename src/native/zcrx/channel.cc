#include "zcrx/channel.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "receive/dropping.h"
#include "receive/frag_ring.h"
#include "receive/receive_buffer.h"
#include "receive/records.h"
#include "receive/scratch.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

// What one request is for at most, in bytes: what a socket may have here unwanted.
constexpr uint64_t kMostAsked = 1 << 20;
constexpr size_t kMostReadable = 1 << 20;
// Attempts to read what neither way can.
constexpr int kMostBarren = 3;

uint32_t UnitOf(uint64_t offset) {
  return static_cast<uint32_t>(offset >> RefillRing::kUnitShift);
}

}  // namespace

int ZcrxChannel::Join(Pool& pool) {
  if (pool_ == &pool) return -EEXIST;
  if (pool_ != nullptr || IsMark(pool.id())) return -EINVAL;
  if (!queue_->taken()) return -EBADF;
  pool_ = &pool;
  density_ = static_cast<uint32_t>(pool.page_size() / 4);
  pool.Join(account_);
  return 0;
}

int ZcrxChannel::Open(Napi::Env env, int fd, Channel::Listener* listener) {
  if (socket_.valid()) return -EINVAL;
  socket_.Reset(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!socket_.valid()) return -errno;
  env_ = env;
  listener_ = listener;
  id_ = queue_->Add(*this);
  if (!queue_->registered()) OnLost(-ECANCELED);
  return 0;
}

int ZcrxChannel::Resume(Demand demand) {
  demand_ = demand;
  Want(true);
  return 0;
}

// What is under way goes on, and what it brings waits here.
void ZcrxChannel::Want(bool wanted) {
  if (closed_ || id_ == 0) return;
  wanted_ = wanted;
  UpdateHold();
  bool idle = request_ == Request::kNone || delivered_ < pieces_.size();
  if (wanted && idle) queue_->Touch(id_);
}

void ZcrxChannel::SetReferenced(bool referenced) {
  referenced_ = referenced;
  UpdateHold();
}

void ZcrxChannel::UpdateHold() {
  bool holds = wanted_ && referenced_ && !closed_;
  if (std::exchange(holding_, holds) != holds) queue_->Hold(holds);
}

int ZcrxChannel::Discard() {
  discarding_ = true;
  DropPieces();
  // A mark would have the last bytes, and the end behind them, wait for more.
  if (low_water_mark_.active()) low_water_mark_.Set(socket_.get(), 1, 0);
  if (request_ == Request::kReceive) CancelReceive();
  Want(true);
  return 0;
}

int ZcrxChannel::SetReceiveBuffer(int bytes) {
  return SetReceiveBufferOf(socket_.get(), bytes);
}

void ZcrxChannel::Close(bool) {
  if (std::exchange(closed_, true)) return;
  wanted_ = false;
  UpdateHold();
  if (pool_ != nullptr) {
    DropPieces();
    pool_->Leave(account_);
  }
  if (id_ != 0) queue_->Remove(id_);
  socket_.Reset();
}

void ZcrxChannel::DropPieces() {
  uint64_t pages = 0;
  for (size_t i = delivered_; i < pieces_.size(); i++) {
    queue_->GiveBack(UnitOf(pieces_[i].offset));
    pages += pieces_[i].pages;
  }
  pool_->Discharge(account_, pages << pool_->page_shift());
  pieces_.clear();
  delivered_ = 0;
  queue_->Publish();
}

// The kernel is not believed: an offset outside the memory must not reach JavaScript.
void ZcrxChannel::OnData(uint64_t offset, uint32_t size) {
  if (offset >= pool_->size() || size > pool_->size() - offset) return Fail(-EBADMSG);
  woken_ = true;
  came_ += size;
  barren_ = 0;
  // Behind an error there would be a gap.
  if (discarding_ || error_ != 0) return queue_->GiveBack(UnitOf(offset));
  uint32_t pages = PagesHeld(offset, size, pool_->page_shift());
  pool_->Charge(account_, uint64_t{pages} << pool_->page_shift());
  pieces_.push_back({offset, size, pages});
  unmarked_ += size;
}

void ZcrxChannel::OnReceiveEnded(int result) {
  woken_ = true;
  request_ = Request::kNone;
  cancelling_ = false;
  switch (-result) {
    case 0:
      // Both what was asked for and the end of the stream are told so.
      end_ = end_ || came_ < asked_;
      return;
    case ECANCELED:
    case ENOSPC:  // the ring was full
    case EOVERFLOW:
    case EINTR:
    case EAGAIN:
      return;
    case ENOMEM:  // not in the area, and the kernel cannot copy into a dma-buf
    case EFAULT:
      readable_ = true;
      return;
    default:
      Fail(result);
  }
}

void ZcrxChannel::OnPolled(int result) {
  woken_ = true;
  request_ = Request::kNone;
  polled_ = result > 0;
  if (result < 0 && result != -ECANCELED) Fail(result);
}

void ZcrxChannel::OnLost(int error) {
  request_ = Request::kNone;
  if (!end_) Fail(error);
}

void ZcrxChannel::Fail(int error) {
  if (error_ == 0) error_ = error;
}

void ZcrxChannel::Advance() {
  if (closed_) return;
  Napi::HandleScope scope(env_);
  if (std::exchange(woken_, false)) counters_.wakes++;
  // The request has read all there was, and waits.
  low_water_mark_.AfterRead(socket_.get(), std::exchange(unmarked_, 0), true);
  while (Step()) continue;
  bool over = request_ == Request::kReceive && !closed_ && !discarding_ &&
              pool_->Available(account_, demand_) == 0;
  if (over) CancelReceive();
}

void ZcrxChannel::CancelReceive() {
  if (!std::exchange(cancelling_, true)) queue_->CancelReceive(id_);
}

bool ZcrxChannel::Step() {
  if (!wanted_) return false;
  if (delivered_ < pieces_.size()) return DeliverPieces();
  if (error_ != 0) return DeliverOver();
  if (request_ != Request::kNone) return false;
  if (end_) return DeliverOver();
  bool readable = std::exchange(readable_, false);
  bool polled = std::exchange(polled_, false);
  if (discarding_ && (readable || polled)) return DeliverDropped();
  if (readable) return DeliverReadable();
  if (polled && Window() == 0) return DeliverShortage();
  Ask();
  return false;
}

bool ZcrxChannel::DeliverPieces() {
  std::optional<BatchWriter> batch = ring_.Begin(env_);
  if (!batch) {
    DropPieces();
    Fail(-ENOMEM);
    return true;
  }
  uint64_t bytes = 0;
  uint64_t pages = 0;
  for (; delivered_ < pieces_.size() && batch->room() > 0; delivered_++) {
    const Piece& piece = pieces_[delivered_];
    batch->Add(piece.offset, piece.size, UnitOf(piece.offset), pool_->id(), piece.pages);
    bytes += piece.size;
    pages += piece.pages;
  }
  batch->Commit();
  if (delivered_ == pieces_.size()) {
    pieces_.clear();
    delivered_ = 0;
  }
  counters_.device_bytes += static_cast<double>(bytes);
  counters_.tokens_taken += batch->count();
  Learn(bytes, pages);
  demand_ = Demand::kAhead;  // who waited has something
  listener_->OnArrival({.first = batch->first_number(), .count = batch->count()});
  return true;
}

// Data that no NIC wrote to the area: packets of other queues, and what a NIC leaves behind
// the headers. recvmsg gives it, even in front of what only the ring can give.
bool ZcrxChannel::DeliverReadable() {
  std::optional<BatchWriter> batch = ring_.Begin(env_);
  if (!batch || !scratch_.Ready()) {
    Fail(-ENOMEM);
    return true;
  }
  iovec io = {scratch_.linear(), kMostReadable};
  msghdr message = {};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = scratch_.control();
  message.msg_controllen = std::min(batch->room() * uapi::kRecordSpace, Scratch::kControlSize);
  counters_.receive_calls++;
  ssize_t received = recvmsg(socket_.get(), &message, uapi::kMsgSockDevmem | MSG_DONTWAIT);
  if (received <= 0) {
    int error = received < 0 ? errno : 0;
    end_ = received == 0;
    // What is next belongs to the area after all, or to another one.
    bool other = error == EAGAIN || error == ENODEV || error == EFAULT || error == EINTR;
    if (error != 0 && !other) Fail(-error);
    if (other && ++barren_ >= kMostBarren) Fail(-EBADMSG);
    return true;
  }
  RecordTotals totals;
  std::span<const uint8_t> control(scratch_.control(), message.msg_controllen);
  int status = ParseRecords(control, static_cast<uint64_t>(received), 0, {}, *batch, totals);
  if (status != 0) {
    Fail(status);
    return true;
  }
  barren_ = 0;
  batch->Commit();
  counters_.linear_bytes += static_cast<double>(totals.linear_bytes);
  low_water_mark_.AfterRead(socket_.get(), totals.linear_bytes, true);
  demand_ = Demand::kAhead;
  listener_->OnArrival({.first = batch->first_number(),
                        .count = batch->count(),
                        .linear_bytes = totals.linear_bytes});
  return true;
}

bool ZcrxChannel::DeliverShortage() {
  Arrival arrival;
  arrival.stalled = demand_ == Demand::kWaiting;
  arrival.ahead = !arrival.stalled;
  Want(false);
  listener_->OnArrival(arrival);
  return true;
}

bool ZcrxChannel::DeliverDropped() {
  FillResult dropped = DropReceived(socket_.get(), counters_);
  end_ = dropped.end;
  if (dropped.error != 0) Fail(dropped.error);
  return true;
}

bool ZcrxChannel::DeliverOver() {
  Arrival arrival;
  arrival.error = error_;
  arrival.end = error_ == 0;
  Want(false);
  listener_->OnArrival(arrival);
  return false;
}

void ZcrxChannel::Ask() {
  came_ = 0;
  asked_ = discarding_ ? 0 : Window();
  bool asked;
  if (asked_ > 0) {
    request_ = Request::kReceive;
    counters_.receive_calls++;
    asked = queue_->Receive(id_, socket_.get(), static_cast<uint32_t>(asked_));
  } else {
    request_ = Request::kPoll;
    asked = queue_->Poll(id_, socket_.get());
  }
  if (asked) return;
  request_ = Request::kNone;
  queue_->Touch(id_);
}

// In how many pages so many bytes come is known only once they are there. Half of what
// lately came in as many: towards the limit, requests become small.
uint32_t ZcrxChannel::Window() const {
  uint64_t pages = pool_->Available(account_, demand_) >> pool_->page_shift();
  if (pages == 0) return 0;
  uint64_t bytes = std::max<uint64_t>(pages * density_ / 2, 1);
  return static_cast<uint32_t>(std::min(bytes, kMostAsked));
}

void ZcrxChannel::Learn(uint64_t bytes, uint64_t pages) {
  uint64_t now = bytes / std::max<uint64_t>(pages, 1);
  density_ = static_cast<uint32_t>((uint64_t{density_} * 3 + now) / 4);
}

uint32_t ZcrxChannel::Unpin(SlotColumns& slot, uint32_t index, uint32_t count) {
  uint32_t released = 0;
  uint64_t pages = 0;
  for (uint32_t i = index; i < index + count; i++) {
    uint32_t owner = slot.owners[i];
    if (owner != pool_->id() && owner != kLinearSource) continue;
    slot.owners[i] = kReleasedSource;
    released++;
    if (owner == kLinearSource) continue;
    queue_->GiveBack(slot.tokens[i]);
    pages += slot.pages[i];
    returned_++;
  }
  pool_->Discharge(account_, pages << pool_->page_shift());
  return released;
}

int ZcrxChannel::Return() {
  int calls = queue_->Publish();
  if (calls < 0) {
    counters_.return_errors++;
  } else {
    counters_.return_calls += calls;
  }
  counters_.tokens_returned += static_cast<double>(std::exchange(returned_, 0));
  return 0;
}

}  // namespace devmem
