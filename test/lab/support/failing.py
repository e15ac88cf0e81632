"""`failing.py HOST INTERFACE QUEUE`: receives a stream while the kernel has no memory for it.

Of each call the first allocation (or copy from or to this process) fails, then the second
and so on, until the call has no more of them: first of binding; then of receiving and giving
back, over and over, to the end of the stream. Prints a line of JSON with the port, and one
with what came of it. Its own memory must not grow meanwhile: see `ENVIRONMENT` in
test/lab/shortage.test.ts.
"""

import hashlib
import json
import os
import select
import socket
import sys

from devmem import MSG_SOCK_DEVMEM, Memory, Netdev, attempt, give_back, libc, parse
from peers import family_of

MEMORY_BYTES = 16 << 20
ROOM = 1 << 16
CONTROL = 1 << 12
# Each page of a udmabuf may take allocations of its own when it is bound.
FEW_PAGES = 32 << 12


class Call:
    """A call of which one allocation after the other fails."""

    # Of this task alone, each write counts anew (fs/proc/base.c proc_fail_nth_write).
    nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)

    def __init__(self):
        self.which = 1
        self.failures = 0
        self.errors = set()

    def __call__(self, call):
        """What the call returned, or the name of its error."""
        os.pwrite(self.nth, b"%d" % self.which, 0)
        result = attempt(call)
        # Both may themselves be what fails, and are then the last to.
        left = attempt(lambda: os.pread(self.nth, 16, 0))
        attempt(lambda: os.pwrite(self.nth, b"0", 0))
        failed = left == b"0\n"
        self.failures += failed
        # Past the last one, from the first again.
        self.which = self.which + 1 if failed else 1
        if isinstance(result, str):
            self.errors.add(result)
        return result

    def report(self):
        return {"failures": self.failures, "errors": sorted(self.errors)}


def bind_failing(interface, queue):
    """Binds until nothing fails any more; that binding ends, too."""
    memory = Memory(FEW_PAGES)
    binding = Call()
    while True:
        netdev = Netdev()
        request = netdev.bind_request(interface, queue, memory.fd)
        sent = binding(lambda: netdev.end.send(request))
        if not isinstance(sent, str):
            answer = attempt(netdev.expect_answer)
            if answer is not None:
                binding.errors.add(answer)
        netdev.close()
        if binding.which == 1:
            break
    os.close(memory.fd)
    return binding.report()


def receive_failing(connection, memory):
    receiving, returning = Call(), Call()
    digest = hashlib.sha256()
    total = 0
    while True:
        select.select([connection], [], [])
        received = receiving(lambda: connection.recvmsg(ROOM, CONTROL, MSG_SOCK_DEVMEM))
        if isinstance(received, str):
            continue
        data, fragments = parse(received)
        if not data and not fragments:
            break
        digest.update(data)
        for offset, size, token in fragments:
            digest.update(memory.bytes[offset : offset + size])
            while isinstance(count := returning(lambda: give_back(connection, token, 1)), str):
                pass
            assert count == 1, count
            total += size
        total += len(data)
    return {
        "bytes": total,
        "digest": digest.hexdigest(),
        "receiving": receiving.report(),
        "returning": returning.report(),
    }


def say(thing):
    print(json.dumps(thing), flush=True)


def main(host, interface, queue):
    # MCL_CURRENT and MCL_FUTURE: pages of its files that come when touched may fail as well.
    if libc.mlockall(3) != 0:
        sys.exit("this program's memory cannot be locked")
    binding = bind_failing(interface, int(queue))
    memory = Memory(MEMORY_BYTES)
    netdev = Netdev()
    netdev.end.send(netdev.bind_request(interface, int(queue), memory.fd))
    netdev.expect_answer()
    server = socket.socket(family_of(host))
    server.bind((host, 0))
    server.listen()
    say({"port": server.getsockname()[1]})
    connection, _ = server.accept()
    connection.setblocking(False)
    say({"binding": binding, **receive_failing(connection, memory)})
    connection.close()


main(*sys.argv[1:])
