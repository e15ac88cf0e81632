"""`by_hand.py ACTION HOST INTERFACE QUEUE`: binds memory, and uses it as the package never would.

Prints a line of JSON with the port, and one with what came of it. Ends with its stdin.
"""

import fcntl
import json
import multiprocessing
import select
import socket
import struct
import sys
import termios
import threading

from devmem import MSG_SOCK_DEVMEM, Memory, Netdev, attempt, give_back, parse
from peers import MESSAGE, family_of

# Of memory, what each binding gets: few enough that buffers come again and again.
MEMORY_BYTES = 4 << 20
ROUNDS = 8
ROOM = 1 << 16
CONTROL = 1 << 12
# Tokens that a connection has been given before anything happens to it.
ENOUGH_TOKENS = 512
# What one call looks for, and up to where there may be any.
TOKENS_PER_CALL = 1024
TOKENS_END = 1 << 16

# So little that the kernel has to make room in it.
SMALL_BUFFER = 16 << 10
# Of a stream, what has to come that can be read, and what cannot.
ENOUGH_BYTES = 64 << 10

IPV6_2292PKTOPTIONS = 6
IPV6_FLOWINFO = 11


def bind(interface, queue):
    netdev, memory = Netdev(), Memory(MEMORY_BYTES)
    netdev.bind(interface, [queue], memory.fd)
    return netdev, memory


def receive_bytes(connection, memory, room=ROOM, flags=0):
    """The bytes of one recvmsg, wherever they lie; fragments are given back."""
    data, fragments = parse(connection.recvmsg(room, CONTROL, MSG_SOCK_DEVMEM | flags))
    for offset, size, token in fragments:
        data += memory.bytes[offset : offset + size]
        assert give_back(connection, token, 1) == 1
    return data


def say(thing):
    print(json.dumps(thing), flush=True)


def listen(server):
    server.listen()
    say({"port": server.getsockname()[1]})


class Party:
    """Receives, peeks and gives back whatever there is, by a thread each."""

    def __init__(self, connection):
        self.connection = connection
        self.given = {"received": 0, "peeked": 0}
        self.returned = 0
        self.readable = 0
        self.errors = set()
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=target, daemon=True, args=args)
            for target, args in (
                (self.take, ("received", 0)),
                (self.take, ("peeked", socket.MSG_PEEK)),
                (self.give_all_back, ()),
            )
        ]
        for thread in self.threads:
            thread.start()

    def take(self, how, more_flags):
        flags = MSG_SOCK_DEVMEM | socket.MSG_DONTWAIT | more_flags
        while not self.over.is_set():
            result = attempt(lambda: self.connection.recvmsg(ROOM, CONTROL, flags))
            if isinstance(result, str):
                self.errors.add(result)
                select.select([self.connection], [], [], 0.05)
                continue
            data, fragments = parse(result)
            self.given[how] += len(fragments)
            if how == "received":
                self.readable += len(data)

    def give_all_back(self):
        while not self.over.is_set():
            self.sweep()

    def sweep(self):
        for first in range(1, TOKENS_END, TOKENS_PER_CALL):
            self.returned += give_back(self.connection, first, TOKENS_PER_CALL)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.sweep()
        return {**self.given, "returned": self.returned, "errors": sorted(self.errors)}


def use(connection, talk, others):
    """Uses a connection; says when it has been used enough; goes on when the memory is unbound.

    What the CPU can read then comes some day; with that it ends, and says what it counted.
    """
    for other in others:
        other.close()
    party = Party(connection)
    while party.given["received"] < ENOUGH_TOKENS or party.given["peeked"] == 0:
        party.over.wait(0.01)
    talk.send("enough")
    talk.recv()
    before = party.readable
    while party.readable == before:
        party.over.wait(0.01)
    talk.send(party.end())


def start(connection, *others):
    """A process that uses the connection, which nobody else has; nor has it what others do."""
    ours, theirs = multiprocessing.Pipe()
    args = (connection, theirs, (ours, *others))
    process = multiprocessing.Process(target=use, args=args)
    process.start()
    connection.close()
    theirs.close()
    return process, ours


def all_at_once(server, interface, queue):
    """What was counted by those who went on when their memory was unbound, and others killed."""
    listen(server)
    counted = []
    for _ in range(ROUNDS):
        netdev, _ = bind(interface, queue)
        parties = [start(server.accept()[0], server, netdev) for _ in range(2)]
        for _, talk in parties:
            talk.recv()
        (killed, _), (left, talk) = parties
        killed.kill()
        netdev.close()
        talk.send("unbound")
        counted.append(talk.recv())
        killed.join()
        left.join()
    return counted


def keeps_packet(connection):
    """Whether the socket keeps the last packet, by the address that this was for.

    Without one, the kernel says where the peer is (net/ipv6/ipv6_sockglue.c).
    """
    answer = connection.getsockopt(socket.IPPROTO_IPV6, IPV6_2292PKTOPTIONS, 256)
    address = answer[16:32]
    return address == socket.inet_pton(socket.AF_INET6, connection.getsockname()[0])


def kept_packet(server, interface, queue):
    """Whether a stream came whole, and whether the socket still keeps its last packet.

    By then everything was given back, and the memory is unbound.
    """
    netdev, memory = bind(interface, queue)
    # Packets with a flow label are kept, for whoever asks.
    for option in (IPV6_FLOWINFO, socket.IPV6_RECVPKTINFO):
        server.setsockopt(socket.IPPROTO_IPV6, option, 1)
    listen(server)
    connection, _ = server.accept()
    came = b""
    while len(came) < len(MESSAGE):
        came += receive_bytes(connection, memory)
    netdev.close()
    outcome = {"whole": came == MESSAGE, "keeps": keeps_packet(connection)}
    # Open until this program ends.
    connection.detach()
    return outcome


def readable_bytes(connection, most):
    """What recv() has for those who know nothing of devices; nothing where it refuses."""
    result = attempt(lambda: connection.recv(most, socket.MSG_DONTWAIT))
    assert isinstance(result, bytes) or result == "EFAULT", result
    return b"" if result == "EFAULT" else result


def mixed(server, interface, queue):
    """Whether a stream came whole of which recv() was asked first, until enough had come either way.

    Each time no more is asked for than the kernel said there was, of which nothing may be missing.
    """
    netdev, memory = bind(interface, queue)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    listen(server)
    connection, _ = server.accept()
    came = {"readable": 0, "unreadable": 0}
    stream = b""
    while min(came.values()) < ENOUGH_BYTES:
        select.select([connection], [], [])
        (left,) = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))
        while left > 0:
            data = readable_bytes(connection, left)
            kind = "readable" if data else "unreadable"
            data = data or receive_bytes(connection, memory, left, socket.MSG_DONTWAIT)
            came[kind] += len(data)
            stream += data
            left -= len(data)
    netdev.close()
    connection.close()
    return (MESSAGE * (len(stream) // len(MESSAGE) + 1)).startswith(stream)


ACTIONS = {each.__name__: each for each in (all_at_once, kept_packet, mixed)}


def main(action, host, interface, queue):
    server = socket.socket(family_of(host))
    server.bind((host, 0))
    say({"outcome": ACTIONS[action](server, interface, int(queue))})
    sys.stdin.read()


main(*sys.argv[1:])
