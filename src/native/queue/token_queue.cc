#include "queue/token_queue.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "queue/queue_transport.h"
#include "receive/batch_writer.h"
#include "receive/polled_channel.h"
#include "receive/token_ranges.h"
#include "support/env_data.h"

namespace devmem {

namespace {

// Each is a range of tokens; between two reads, mostly one for each batch.
constexpr uint32_t kReturnEntries = 4096;
// More than a batch has room for: they are taken as soon as they are told of.
constexpr uint32_t kFragmentEntries = 1024;
static_assert(kFragmentEntries >= kSlotCapacity);
// More than this share of a binding's memory does not wait for the next read. What waits
// was held before, and counted as such; until a read takes it up, nothing else is held in
// its place. So the NIC has no less of the memory than it has to do with anyway, and a
// binding's limit, half of it by default, holds for both together.
constexpr double kMostWaiting = 1.0 / 4;
// How long the rest does, where there was something to read just now.
constexpr uint64_t kPatienceMs = 1;
// A cookie is in use elsewhere only where this thread's count of 2^32 has come round.
constexpr int kMostAttempts = 16;

void DetachFromQueue(int socket) {
  uapi::DevmemQueueAttach detach = {-1, 0, 0};
  setsockopt(socket, SOL_SOCKET, uapi::kSoDevmemQueue, &detach, sizeof detach);
}

template <typename T>
T* At(const Mapped& map, uint32_t offset) {
  return reinterpret_cast<T*>(map.at(offset));
}

// Whether `count` entries at an offset lie in a mapping of that size.
bool Fits(uint64_t offset, uint64_t count, uint64_t size, uint64_t map_size) {
  return offset >= sizeof(uapi::DevmemQueueMap) && offset % size == 0 &&
         offset + count * size <= map_size;
}

}  // namespace

int TokenQueue::Open(Napi::Env env) {
  if (open()) return -EINVAL;
  int status = Make();
  // An empty one: whether the kernel, and whoever confines this process, would do it.
  if (status == 0) status = Flush();
  if (status == 0) status = sleep_.Open(env, this);
  if (status != 0) Close();
  return status;
}

int TokenQueue::Make(int tcp, uint32_t fragment_entries, uapi::DevmemQueueCreate& made) {
  made = {};
  made.version = uapi::kDevmemQueueVersion;
  made.return_entries = kReturnEntries;
  made.fragment_entries = fragment_entries;
  socklen_t length = sizeof made;
  int status = getsockopt(tcp, SOL_SOCKET, uapi::kSoDevmemQueue, &made, &length);
  return status == 0 ? 0 : -errno;
}

int TokenQueue::Make() {
  UniqueFd tcp(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!tcp.valid()) return -errno;
  uapi::DevmemQueueCreate made;
  int status = Make(tcp.get(), kFragmentEntries, made);
  // A kernel without the series' last part: control messages tell of fragments.
  if (status == -EINVAL) status = Make(tcp.get(), 0, made);
  if (status != 0) return status;
  fd_.Reset(made.fd);
  bool has_fragments = made.fragment_entries != 0;
  if (!Fits(made.return_offset, kReturnEntries, sizeof(uapi::DevmemQueueReturn), made.map_size) ||
      (has_fragments && !Fits(made.fragment_offset, kFragmentEntries,
                              sizeof(uapi::DevmemQueueFragment), made.map_size))) {
    return -EBADMSG;
  }
  status = map_.Map(made.map_size, fd_.get());
  if (status != 0) return status;
  if (has_fragments) {
    fragments_.Attach(At<uapi::DevmemQueueMap>(map_, 0),
                      At<uapi::DevmemQueueFragment>(map_, made.fragment_offset), kFragmentEntries);
  }
  returns_.Attach(At<uapi::DevmemQueueMap>(map_, 0),
                  At<uapi::DevmemQueueReturn>(map_, made.return_offset), kReturnEntries);
  return 0;
}

// A mapping refers to the queue, too: the kernel lets go of it after the last one.
void TokenQueue::Close() {
  sleep_.Close();
  returns_.Detach();
  fragments_.Detach();
  map_.Reset();
  fd_.Reset();
  attached_.clear();
  counters_ = nullptr;
}

std::unique_ptr<Channel> TokenQueue::MakeChannel(Napi::Env env, Counters& counters) {
  EnvData& data = *EnvData::Of(env);
  auto transport = std::make_unique<QueueTransport>(shared_from_this(), *data.scratch, counters);
  return std::make_unique<PolledChannel>(std::move(transport), *data.frag_ring, counters);
}

int TokenQueue::AttachBy(int socket, Cookie cookie) const {
  uapi::DevmemQueueAttach attach = {fd_.get(), cookie, 0};
  int status = setsockopt(socket, SOL_SOCKET, uapi::kSoDevmemQueue, &attach, sizeof attach);
  return status == 0 ? 0 : -errno;
}

TokenQueue::Cookie TokenQueue::NewCookie() {
  do {
    last_cookie_++;
  } while (last_cookie_ == 0 || attached_.contains(last_cookie_));
  return last_cookie_;
}

TokenQueue::Cookie TokenQueue::Attach(int socket, QueueTransport& transport) {
  if (!open()) return 0;
  for (int i = 0; i < kMostAttempts; i++) {
    Cookie cookie = NewCookie();
    int status = AttachBy(socket, cookie);
    if (status == 0) {
      attached_.emplace(cookie, &transport);
      sleep_.Start();
      return cookie;
    }
    // It was another receiver's, of this process or another, that has not let go of it.
    // Whoever reads it now is this one: fragments must not be told of elsewhere.
    if (status == -EISCONN && i == 0) {
      DetachFromQueue(socket);
    } else if (status != -EEXIST) {
      break;
    }
  }
  return 0;
}

void TokenQueue::Detach(int socket, Cookie cookie) {
  if (attached_.contains(cookie)) DetachFromQueue(socket);
}

void TokenQueue::Forget(Cookie cookie, const Counters& counters) {
  attached_.erase(cookie);
  if (attached_.empty()) sleep_.Stop();
  if (counters_ == &counters) counters_ = nullptr;
}

size_t TokenQueue::GiveBack(Cookie cookie, std::span<const uint32_t> tokens, double share,
                            Counters& counters) {
  if (!attached_.contains(cookie) || refuses_) return 0;
  counters_ = &counters;
  if (!returns_.Pending()) share_ = 0;
  size_t written = Write(cookie, tokens);
  if (written < tokens.size() && Flush() == 0) {
    share_ = 0;
    written += Write(cookie, tokens.subspan(written));
  }
  share_ += share;
  CountUnknown();
  return written;
}

size_t TokenQueue::Write(Cookie cookie, std::span<const uint32_t> tokens) {
  size_t written = 0;
  while (written < tokens.size()) {
    size_t run = RunOfTokens(tokens.subspan(written));
    uint32_t count = static_cast<uint32_t>(std::min<size_t>(run, uapi::kDevmemQueueMaxCount));
    if (!returns_.Put(cookie, tokens[written], count)) break;
    written += count;
  }
  if (written > 0) returns_.Publish();
  return written;
}

int TokenQueue::Flush() {
  if (counters_ != nullptr) counters_->return_calls++;
  if (ioctl(fd_.get(), uapi::kDevmemQueueFlush) >= 0) return 0;
  int error = -errno;
  if (counters_ != nullptr) counters_->return_errors++;
  // What is in the ring is taken up with the next read; nothing is added that might wait.
  refuses_ = true;
  return error;
}

// Its stream lacks what was read elsewhere. (No token is given back for it: what is in shared
// memory alone must not take a fragment from who holds it.)
bool TokenQueue::OnStray(Cookie cookie) {
  auto found = attached_.find(cookie);
  return found != attached_.end() && found->second->Break();
}

// For the eye alone: which socket had them, the kernel does not say.
void TokenQueue::CountUnknown() {
  uint64_t now =
      __atomic_load_n(&At<uapi::DevmemQueueMap>(map_, 0)->return_unknown, __ATOMIC_RELAXED);
  if (now > unknown_) counters_->tokens_missed += static_cast<double>(now - unknown_);
  unknown_ = now;
}

void TokenQueue::OnBeforeSleep() {
  bool reads = std::exchange(reads_, false);
  if (!returns_.Pending() || refuses_) return sleep_.Unlimit();
  if (share_ < kMostWaiting) {
    // After a read, others are to be expected.
    if (reads) return sleep_.Limit(kPatienceMs);
    if (sleep_.limited() == BeforeSleep::Limited::kYes) return;
  }
  sleep_.Unlimit();
  Flush();
}

}  // namespace devmem
