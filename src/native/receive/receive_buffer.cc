#include "receive/receive_buffer.h"

#include <sys/socket.h>

#include <cerrno>

namespace devmem {

// The kernel doubles what it is told (net/core/sock.c __sock_set_rcvbuf), so half is asked
// for; beyond net.core.rmem_max only with CAP_NET_ADMIN.
int SetReceiveBufferOf(int socket, int bytes) {
  int half = bytes / 2;
  int status = setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof half);
  if (status < 0) status = setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &half, sizeof half);
  return status < 0 ? -errno : 0;
}

}  // namespace devmem
