// Reading a socket for its end alone.
#pragma once

#include "receive/transport.h"

namespace devmem {

// Drops what is there, up to some megabytes, after which other sockets have their turn.
FillResult DropReceived(int socket, Counters& counters);

}  // namespace devmem
