// Closing descriptors that came from other processes. close(2) may wait: for a TCP
// connection's peer (SO_LINGER), for the server of a file (NFS, FUSE), as long as they
// like, and so may closing a Unix-domain socket in which such descriptors wait unread.
#pragma once

#include <vector>

#include "support/unique_fd.h"

namespace devmem {

// Closes them in this order on a thread of their own. Not on one of libuv's pool: a few
// that wait for ever would use it up, and the process, which joins it, could not end.
void CloseElsewhere(std::vector<UniqueFd> fds);

}  // namespace devmem
