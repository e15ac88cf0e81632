#include "system/netlink_socket.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "support/deferred.h"
#include "support/values.h"

namespace devmem {

namespace {

// Kernels answer requests of these families at once; a wait this long means
// that something is wrong.
constexpr timeval kTimeout = {10, 0};
constexpr size_t kReadSize = 64 << 10;

// True once `data` holds the message that ends the answer to request `sequence`:
// an acknowledgement, an error, or a dump's end.
bool Complete(const std::vector<uint8_t>& data, size_t from, uint32_t sequence) {
  size_t at = from;
  while (data.size() - at >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, data.data() + at, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > data.size() - at) return false;
    bool last = header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE;
    if (last && header.nlmsg_seq == sequence) return true;
    size_t step = NLMSG_ALIGN(header.nlmsg_len);
    if (step > data.size() - at) break;
    at += step;
  }
  return false;
}

// Sends one request and collects its answer, on a thread of the pool: binding
// memory takes the kernel a while, and the event loop has better things to do.
class RequestWorker : public Napi::AsyncWorker {
 public:
  RequestWorker(Napi::Env env, Deferred deferred, std::shared_ptr<UniqueFd> fd,
                std::vector<uint8_t> message)
      : Napi::AsyncWorker(env, "devmem-tcp:netlink"),
        fd_(std::move(fd)),
        message_(std::move(message)),
        deferred_(deferred) {}

  void Execute() override {
    uint32_t sequence;
    std::memcpy(&sequence, message_.data() + offsetof(nlmsghdr, nlmsg_seq), sizeof sequence);
    if (!Transmit()) return;
    size_t read = 0;
    do {
      read = answer_.size();
      if (!Receive()) return;
    } while (!Complete(answer_, read, sequence));
  }

  void OnOK() override {
    Napi::Env env = Env();
    if (error_ != 0) {
      deferred_.Resolve(Napi::Number::New(env, error_));
    } else {
      deferred_.Resolve(Napi::Buffer<uint8_t>::Copy(env, answer_.data(), answer_.size()));
    }
  }

 private:
  bool Transmit() {
    sockaddr_nl kernel = {};
    kernel.nl_family = AF_NETLINK;
    ssize_t sent;
    do {
      sent = sendto(fd_->get(), message_.data(), message_.size(), 0,
                    reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) error_ = -errno;
    return sent >= 0;
  }

  // Appends the messages of one datagram.
  bool Receive() {
    size_t at = answer_.size();
    answer_.resize(at + kReadSize);
    sockaddr_nl from = {};
    socklen_t from_size = sizeof from;
    ssize_t got = recvfrom(fd_->get(), answer_.data() + at, kReadSize, MSG_TRUNC,
                           reinterpret_cast<sockaddr*>(&from), &from_size);
    // Only the kernel (port 0) may answer; anything else is dropped.
    bool keep = got >= 0 && static_cast<size_t>(got) <= kReadSize && from.nl_pid == 0;
    answer_.resize(keep ? at + static_cast<size_t>(got) : at);
    if (got < 0 && errno != EINTR) error_ = errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (got > static_cast<ssize_t>(kReadSize)) error_ = -EMSGSIZE;
    return error_ == 0;
  }

  std::shared_ptr<UniqueFd> fd_;
  std::vector<uint8_t> message_;
  std::vector<uint8_t> answer_;
  Deferred deferred_;
  int error_ = 0;
};

}  // namespace

Napi::Function NetlinkSocket::Define(Napi::Env env) {
  return DefineClass(env, "NetlinkSocket",
                     {InstanceMethod<&NetlinkSocket::Open>("open"),
                      InstanceMethod<&NetlinkSocket::Request>("request"),
                      InstanceMethod<&NetlinkSocket::Close>("close")});
}

NetlinkSocket::NetlinkSocket(const Napi::CallbackInfo& info) : Wrapped<NetlinkSocket>(info) {}

// open(protocol) -> 0 | -errno, with extended acknowledgements on.
Napi::Value NetlinkSocket::Open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, ToInt(info[0])));
  if (!fd.valid()) return Napi::Number::New(env, -errno);
  int on = 1;
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  fd_ = std::make_shared<UniqueFd>(std::move(fd));
  return Napi::Number::New(env, 0);
}

// request(message) -> Promise of the answer's messages (Buffer) or -errno.
// One request at a time per socket: the caller sees to that.
Napi::Value NetlinkSocket::Request(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!IsTypedArray(info[0], napi_uint8_array) ||
      info[0].As<Napi::Uint8Array>().ByteLength() < sizeof(nlmsghdr)) {
    ThrowMisuse(env, "request(Uint8Array)");
    return env.Undefined();
  }
  std::optional<Deferred> deferred = Deferred::New(env);
  if (!deferred) return {};
  if (fd_ == nullptr) {
    deferred->Resolve(Napi::Number::New(env, -EBADF));
    return deferred->promise();
  }
  Napi::Uint8Array message = info[0].As<Napi::Uint8Array>();
  std::vector<uint8_t> bytes(message.Data(), message.Data() + message.ByteLength());
  auto* worker = new RequestWorker(env, *deferred, fd_, std::move(bytes));
  worker->Queue();
  return deferred->promise();
}

void NetlinkSocket::Close(const Napi::CallbackInfo&) {
  fd_.reset();
}

}  // namespace devmem
