"""raw_bind.py INTERFACE QUEUE BYTES: binds memory without asking whether there is enough of it.

Tells the name of the error, or "bound".
"""

import sys

from devmem import Memory, Netdev, attempt


def main(interface, queue, size):
    netdev, memory = Netdev(), Memory(int(size))
    netdev.end.send(netdev.bind_request(interface, int(queue), memory.fd))
    print(attempt(netdev.expect_answer) or "bound")


main(*sys.argv[1:])
