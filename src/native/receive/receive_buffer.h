#pragma once

namespace devmem {

// Sets SO_RCVBUF, in bytes as the kernel accounts them. 0 or -errno.
int SetReceiveBufferOf(int socket, int bytes);

}  // namespace devmem
