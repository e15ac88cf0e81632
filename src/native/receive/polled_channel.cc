#include "receive/polled_channel.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "receive/dropping.h"
#include "receive/frag_ring.h"
#include "receive/receive_buffer.h"

namespace devmem {

namespace {

// Entries of a socket's error queue (completions of MSG_ZEROCOPY, timestamps) keep it
// readable for as long as they are there, and nobody here asked for any.
void DropErrorQueue(int socket) {
  constexpr int kMostEntries = 64;
  alignas(cmsghdr) char control[256];
  for (int i = 0; i < kMostEntries; i++) {
    msghdr message = {};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0 && errno != EINTR) return;
  }
}

}  // namespace

int PolledChannel::Open(Napi::Env env, int fd, Channel::Listener* listener) {
  if (socket_.valid()) return -EINVAL;
  socket_.Reset(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!socket_.valid()) return -errno;
  env_ = env;
  listener_ = listener;
  int status = poller_.Open(env, socket_.get(), this);
  if (status != 0) {
    socket_.Reset();
  } else {
    transport_->Attach(socket_.get());
  }
  return status;
}

int PolledChannel::Resume(Demand demand) {
  demand_ = demand;
  return poller_.Start();
}

int PolledChannel::Land(const Napi::Value& target, double at, double length) {
  if (!transport_->CanFillInto()) return -EOPNOTSUPP;
  return landing_.Begin(target, at, length) ? 0 : -EINVAL;
}

int PolledChannel::Discard() {
  discarding_ = true;
  // A mark would have the last bytes, and the end behind them, wait for more.
  if (low_water_mark_.active()) low_water_mark_.Set(socket_.get(), 1, 0);
  return poller_.Start();
}

int PolledChannel::SetReceiveBuffer(int bytes) {
  return SetReceiveBufferOf(socket_.get(), bytes);
}

void PolledChannel::Close(bool held) {
  poller_.Close();
  transport_->Leave();
  if (held) {
    shutdown(socket_.get(), SHUT_RDWR);
  } else {
    CloseSocket();
  }
}

void PolledChannel::CloseSocket() {
  if (socket_.valid()) transport_->Detach(socket_.get());
  socket_.Reset();
}

void PolledChannel::OnReady(bool failed) {
  counters_.wakes++;
  Napi::HandleScope scope(env_);
  failed_ = failed;
  for (int i = 0; i < kMostReads; i++) {
    // The listener may have had enough.
    if (!ReadAndDeliver() || !poller_.active()) return;
  }
}

bool PolledChannel::ReadAndDeliver() {
  Arrival arrival;
  FillResult result = discarding_         ? DropReceived(socket_.get(), counters_)
                      : landing_.active() ? ReadInto(arrival)
                                          : Read(arrival);
  // What the error is, reading has told; if none, there is such an entry.
  if (std::exchange(failed_, false)) DropErrorQueue(socket_.get());
  Deliver(result, arrival);
  return result.spent;
}

FillResult PolledChannel::Read(Arrival& arrival) {
  FillResult result;
  std::optional<BatchWriter> batch = ring_.Begin(env_);
  if (!batch) {
    result.error = -ENOMEM;
    return result;
  }
  result = transport_->Fill(socket_.get(), *batch, {demand_, low_water_mark_.active()});
  low_water_mark_.AfterRead(socket_.get(), result.bytes, result.drained);
  batch->Commit();
  arrival.first = batch->first_number();
  arrival.count = batch->count();
  return result;
}

FillResult PolledChannel::ReadInto(Arrival& arrival) {
  FillResult result;
  std::span<uint8_t> space = landing_.Space(env_);
  if (!space.empty()) {
    result = transport_->FillInto(socket_.get(), space, {demand_, low_water_mark_.active()});
    low_water_mark_.AfterRead(socket_.get(), result.bytes, result.drained);
    landing_.Advance(result.bytes);
  }
  arrival.landed = space.empty() || landing_.full();
  return result;
}

void PolledChannel::Deliver(const FillResult& result, Arrival& arrival) {
  arrival.error = result.error;
  arrival.end = result.end;
  arrival.linear_bytes = result.linear_bytes;
  arrival.stalled = result.short_of_memory && demand_ == Demand::kWaiting;
  arrival.ahead = result.short_of_memory && demand_ == Demand::kAhead;
  // Who waited has something.
  if (arrival.count > 0) demand_ = Demand::kAhead;
  bool over = arrival.error != 0 || arrival.end;
  bool stops = over || result.short_of_memory;
  if (stops) poller_.Stop();
  if (arrival.count > 0 || arrival.landed || stops) listener_->OnArrival(arrival);
}

}  // namespace devmem
