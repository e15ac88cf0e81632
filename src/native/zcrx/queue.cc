#include "zcrx/queue.h"

#include <poll.h>

#include <cerrno>
#include <utility>

#include "support/env_data.h"
#include "zcrx/channel.h"

namespace devmem {

namespace {

// What a completion is of: the lowest bits of its user_data, below a channel's number.
constexpr uint64_t kKindBits = 2;
constexpr uint64_t kReceive = 0;
constexpr uint64_t kPoll = 1;
constexpr uint64_t kCancel = 2;
constexpr uint64_t kEvent = Ifq::kAllocFail;

// How often the ring is entered in one wake before others have their turn.
constexpr int kMostPasses = 8;

bool IsPassing(int error) {
  return error == -EBUSY || error == -EAGAIN || error == -ENOMEM;
}

}  // namespace

int ZcrxQueue::Open() {
  return std::exchange(opened_, true) ? -EINVAL : ifq_.Open();
}

int ZcrxQueue::Register(Napi::Env env, const Ifq::Request& request, Listener* listener) {
  if (!ifq_.ring().open()) return -EBADF;
  if (std::exchange(asked_, true)) return -EINVAL;
  int status = turn_.Open(env, this);
  if (status == 0) status = poller_.Open(env, ifq_.ring().fd(), this);
  if (status == 0) status = ifq_.Register(request);
  if (status == 0) status = poller_.Start();
  poller_.Unref();
  taken_ = status == 0;
  if (taken_) listener_ = listener;
  return status;
}

void ZcrxQueue::Close() {
  listener_ = nullptr;
  if (!ifq_.ring().open()) return;
  // What is in the ring by now is the sockets' all the same.
  if (registered()) Sort();
  Lose(-ECANCELED);
}

// No completion comes any more.
void ZcrxQueue::Lose(int error) {
  poller_.Close();
  ifq_.Close();
  cancels_.clear();
  for (auto& [id, channel] : channels_) {
    channel->OnLost(error);
    Touch(id);
  }
}

std::unique_ptr<Channel> ZcrxQueue::MakeChannel(Napi::Env env, Counters& counters) {
  EnvData& data = *EnvData::Of(env);
  return std::make_unique<ZcrxChannel>(shared_from_this(), *data.frag_ring, *data.scratch,
                                       counters);
}

ZcrxQueue::Id ZcrxQueue::Add(ZcrxChannel& channel) {
  channels_.emplace(++last_id_, &channel);
  return last_id_;
}

void ZcrxQueue::Remove(Id id) {
  channels_.erase(id);
  if (!registered()) return;
  for (uint64_t kind : {kReceive, kPoll}) {
    // By the time that the kernel takes it, the descriptor's number may be another socket's.
    if (!ifq_.ring().Withdraw(id << kKindBits | kind)) Cancel(id, kind);
  }
  // A request under way keeps its socket open.
  ifq_.ring().Enter();
  turn_.Ask();
}

bool ZcrxQueue::Receive(Id id, int socket, uint32_t bytes) {
  io_uring_sqe* sqe = Prepare(uapi::kOpRecvZc, id, kReceive);
  if (sqe == nullptr) return false;
  sqe->fd = socket;
  sqe->ioprio = uapi::kRecvMultishot;
  sqe->len = bytes;
  sqe->file_index = ifq_.id();  // zcrx_ifq_idx
  return true;
}

bool ZcrxQueue::Poll(Id id, int socket) {
  io_uring_sqe* sqe = Prepare(IORING_OP_POLL_ADD, id, kPoll);
  if (sqe == nullptr) return false;
  sqe->fd = socket;
  sqe->poll32_events = POLLIN | POLLRDHUP;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  sqe->poll32_events <<= 16;
#endif
  return true;
}

void ZcrxQueue::CancelReceive(Id id) {
  if (!registered()) return;
  Cancel(id, kReceive);
  if (!serving_) turn_.Ask();
}

void ZcrxQueue::Cancel(Id id, uint64_t kind) {
  cancels_.push_back(id << kKindBits | kind);
  SubmitCancels();
}

// What finds no place waits: a request that nobody cancels keeps its socket, and goes on.
void ZcrxQueue::SubmitCancels() {
  while (!cancels_.empty()) {
    io_uring_sqe* sqe = Prepare(IORING_OP_ASYNC_CANCEL, 0, kCancel);
    if (sqe == nullptr) return;
    sqe->addr = cancels_.back();
    cancels_.pop_back();
  }
}

bool ZcrxQueue::Owes() const {
  return registered() && (ifq_.pending() || !cancels_.empty());
}

io_uring_sqe* ZcrxQueue::Prepare(uint8_t opcode, Id id, uint64_t kind) {
  io_uring_sqe* sqe = registered() ? ifq_.ring().Next() : nullptr;
  if (sqe == nullptr) return nullptr;
  sqe->opcode = opcode;
  sqe->user_data = id << kKindBits | kind;
  return sqe;
}

void ZcrxQueue::Touch(Id id) {
  ZcrxChannel* channel = Find(id);
  if (channel != nullptr) MarkTouched(id, *channel);
  if (!serving_) turn_.Ask();
}

void ZcrxQueue::MarkTouched(Id id, ZcrxChannel& channel) {
  if (channel.touched) return;
  channel.touched = true;
  touched_.push_back(id);
}

void ZcrxQueue::Hold(bool on) {
  held_ += on ? 1 : -1;
  if (held_ > 0) {
    poller_.Ref();
  } else {
    poller_.Unref();
  }
}

int ZcrxQueue::Publish() {
  int calls = ifq_.Publish();
  // There is memory again: the next time that there is none is news.
  if (std::exchange(dry_, false)) ifq_.ArmAllocFail();
  return calls;
}

void ZcrxQueue::OnReady(bool) {
  Serve();
}

void ZcrxQueue::Serve() {
  // A listener may let go of the last binding and socket.
  std::shared_ptr<ZcrxQueue> self = shared_from_this();
  if (std::exchange(serving_, true)) return;
  bool more = true;
  for (int pass = 0; more && pass < kMostPasses; pass++) more = ServeOnce();
  serving_ = false;
  if (more) turn_.Ask();
}

bool ZcrxQueue::ServeOnce() {
  if (registered()) {
    SubmitCancels();
    int status = ifq_.ring().Enter();
    Sort();
    if (status < 0 && !IsPassing(status)) Lose(status);
    ifq_.Publish();
  }
  if (std::exchange(untold_, false) && listener_ != nullptr) listener_->OnMemoryDry();
  advancing_.swap(touched_);
  for (Id id : advancing_) {
    ZcrxChannel* channel = Find(id);
    if (channel == nullptr) continue;
    channel->touched = false;
    channel->Advance();
  }
  advancing_.clear();
  return !touched_.empty() || Owes();
}

void ZcrxQueue::Sort() {
  Completion completion;
  while (ifq_.ring().Take(completion)) Sort(completion);
}

void ZcrxQueue::Sort(const Completion& completion) {
  Id id = completion.user_data >> kKindBits;
  switch (completion.user_data & ((1 << kKindBits) - 1)) {
    case kReceive:
      return SortReceived(id, completion);
    case kPoll:
      if (ZcrxChannel* channel = Find(id)) {
        channel->OnPolled(completion.result);
        MarkTouched(id, *channel);
      }
      return;
    case kEvent:
      dry_ = untold_ = true;
      return;
    default:  // kCancel: whether there was anything to cancel, the request itself tells
      return;
  }
}

void ZcrxQueue::SortReceived(Id id, const Completion& completion) {
  ZcrxChannel* channel = Find(id);
  uint64_t offset = completion.offset & uapi::kZcrxOffsetMask;
  bool data = completion.result > 0;
  if (channel == nullptr) {
    // Of a socket that was closed meanwhile.
    if (data) GiveBack(static_cast<uint32_t>(offset >> RefillRing::kUnitShift));
    return;
  }
  if (data) channel->OnData(offset, static_cast<uint32_t>(completion.result));
  if ((completion.flags & IORING_CQE_F_MORE) == 0) {
    // With data it is neither an end nor an error.
    channel->OnReceiveEnded(data ? -EAGAIN : completion.result);
  }
  MarkTouched(id, *channel);
}

ZcrxChannel* ZcrxQueue::Find(Id id) {
  auto found = channels_.find(id);
  return found == channels_.end() ? nullptr : found->second;
}

}  // namespace devmem
