#include "receive/dropping.h"

#include <sys/socket.h>

#include <cerrno>

namespace devmem {

namespace {

constexpr uint64_t kBudget = 16 << 20;

}  // namespace

// MSG_TRUNC has TCP drop bytes where it would copy them, unreadable ones without a token
// (net/ipv4/tcp.c tcp_recvmsg_locked).
FillResult DropReceived(int socket, Counters& counters) {
  FillResult result;
  while (result.bytes < kBudget) {
    counters.receive_calls++;
    ssize_t dropped = recv(socket, nullptr, kBudget, MSG_TRUNC | MSG_DONTWAIT);
    if (dropped < 0 && errno == EINTR) continue;
    if (dropped <= 0) {
      result.end = dropped == 0;
      result.drained = dropped < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
      if (!result.end && !result.drained) result.error = -errno;
      break;
    }
    result.bytes += static_cast<uint64_t>(dropped);
  }
  return result;
}

}  // namespace devmem
