"""raw_bind.py INTERFACE QUEUE BYTES: binds memory without asking whether there is enough of it.

Tells the name of the error, or "bound".
"""

import sys

from devmem import Memory, Netdev, attempt


def main(interface, queue, size):
    netdev, memory = Netdev(), Memory(int(size))
    answer = attempt(lambda: netdev.bind(interface, [int(queue)], memory.fd))
    print(answer if isinstance(answer, str) else "bound")


main(*sys.argv[1:])
