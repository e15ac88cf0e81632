"""`failing.py ACTION HOST INTERFACE QUEUE QUEUE`: what a kernel does that has no memory for a call.

Of each call the first allocation (or copy from or to this process) fails, then the second
and so on, until the call has no more of them. `receiving`: first of binding; then of receiving
and giving back, over and over, to the end of a stream. `unbinding`: of ending a binding while
messages come, over and over. Prints a line of JSON with the port, and one with what came of it.
Its own memory must not grow meanwhile: see `ENVIRONMENT` in test/lab/shortage.test.ts.
"""

import hashlib
import json
import os
import select
import socket
import sys
import time

from devmem import MSG_SOCK_DEVMEM, Memory, Netdev, attempt, give_back, libc, parse, parse_bound
from peers import MESSAGE, family_of

MEMORY_BYTES = 16 << 20
ROOM = 1 << 16
CONTROL = 1 << 12
# Each page of a udmabuf may take allocations of its own when it is bound.
FEW_PAGES = 32 << 12
# Of a call whose last ones were passed over, how many are tried again, and how often.
LAST_ONES = 12
RETRIES = 20
# Of each of many bindings, what it has, and what comes into it before it ends.
LITTLE_MEMORY = 1 << 20
ENOUGH_BYTES = 64 << 10
# What sockets may keep unread, so that it finds place in that; and by far more than that.
SMALL_BUFFER = 64 << 10
MUCH_MORE = 8 * SMALL_BUFFER
# The kernel tries again a second later.
PATIENCE_SECONDS = 60


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


def bind_failing(interface, queues):
    """Binds until nothing fails any more; that binding ends, too.

    Where one fails behind the first queue, that was bound by then, and made anew to unbind it.
    How many allocations there are changes, as the kernel keeps memory for the next: those for
    a second queue, which come last, may have been passed over, and are then tried again.
    """
    memory = Memory(FEW_PAGES)
    binding = Call()
    behind_first = 0
    retries = RETRIES if len(queues) > 1 else 0
    while True:
        which = binding.which
        netdev = Netdev()
        pools = netdev.pools()
        request = netdev.bind_request(interface, queues, memory.fd)
        answer = binding(lambda: netdev.end.send(request))
        if not isinstance(answer, str):
            answer = attempt(netdev.expect_answer)
        if isinstance(answer, str):
            binding.errors.add(answer)
            behind_first += netdev.pools() != pools
        netdev.close()
        if binding.which > 1:
            continue
        if behind_first or retries == 0:
            break
        retries -= 1
        binding.which = max(which - LAST_ONES, 1)
    os.close(memory.fd)
    return {**binding.report(), "behindFirst": behind_first}


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


def accept(server):
    server.listen()
    say({"port": server.getsockname()[1]})
    connection, _ = server.accept()
    connection.setblocking(False)
    return connection


def receiving(server, interface, queues):
    outcome = {
        "binding": bind_failing(interface, queues[:1]),
        "bindingTwo": bind_failing(interface, queues),
    }
    netdev, memory = Netdev(), Memory(MEMORY_BYTES)
    netdev.bind(interface, queues[:1], memory.fd)
    connection = accept(server)
    outcome.update(receive_failing(connection, memory))
    connection.close()
    return outcome


class Messages:
    """A connection with a peer of kind `messages`, of which nothing may be wrong or missing."""

    TWICE = MESSAGE * 2

    def __init__(self, connection):
        self.connection = connection
        self.total = 0
        # Of each binding there was, by its number.
        self.memories = {}

    def receive(self):
        """Where each byte of one recvmsg lies: (binding, or None, size, token)."""
        select.select([self.connection], [], [])
        data, fragments = parse_bound(self.connection.recvmsg(ROOM, CONTROL, MSG_SOCK_DEVMEM))
        if data:
            self.look(data)
        for offset, size, _, binding in fragments:
            self.look(self.memories[binding].bytes[offset : offset + size])
        return [(binding, size, token) for _, size, token, binding in fragments] or [
            (None, len(data), None)
        ]

    def look(self, data):
        assert data, "the stream has ended"
        at = self.total % len(MESSAGE)
        assert self.TWICE[at : at + len(data)] == data, f"wrong from byte {self.total} on"
        self.total += len(data)

    def give_back(self, pieces):
        for binding, _, token in pieces:
            assert binding is None or give_back(self.connection, token, 1) == 1

    def hold(self, binding):
        """Receives until enough came into a binding's memory; the last of it."""
        came = 0
        while True:
            pieces = self.receive()
            came += sum(size for where, size, _ in pieces if where == binding)
            if came >= ENOUGH_BYTES:
                return pieces
            self.give_back(pieces)

    def comes_until_readable(self, binding):
        """How much comes into a binding's memory before the CPU reads what comes."""
        came = 0
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            pieces = self.receive()
            self.give_back(pieces)
            if pieces[0][0] is None:
                return came
            came += sum(size for where, size, _ in pieces if where == binding)
        return None


def unbinding(server, interface, queues):
    """What failed of ending bindings amid a stream, and when the queue was given up each time."""
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    messages = Messages(accept(server))
    call = Call()
    became = {"atOnce": 0, "later": 0, "never": 0}
    while True:
        netdev, memory = Netdev(), Memory(LITTLE_MEMORY)
        binding = netdev.bind(interface, queues[:1], memory.fd)
        messages.memories[binding] = memory
        held = messages.hold(binding)
        call(netdev.close)
        messages.give_back(held)
        came = messages.comes_until_readable(binding)
        # More than was on its way.
        later = "later" if came is not None and came > MUCH_MORE else "atOnce"
        became["never" if came is None else later] += 1
        # Nothing failed of that one.
        if call.which == 1:
            break
    messages.connection.close()
    return {**call.report(), **became}


ACTIONS = {each.__name__: each for each in (receiving, unbinding)}


def main(action, host, interface, *queues):
    # MCL_CURRENT and MCL_FUTURE: pages of its files that come when touched may fail as well.
    if libc.mlockall(3) != 0:
        sys.exit("this program's memory cannot be locked")
    server = socket.socket(family_of(host))
    server.bind((host, 0))
    say(ACTIONS[action](server, interface, [int(queue) for queue in queues]))


main(*sys.argv[1:])
