"""Sends from device memory, among ordinary bytes, and finds out what arrives.

`transmit.py sink HOST` prints its port, then the number of bytes that came and their hash.
`transmit.py send HOST PORT INTERFACE BYTES SEED` prints the same of what it has sent, and
for how many of the calls the kernel has said that their memory is no longer read.

`transmit.py keyed_sink HOST HASH SENDER` and `transmit.py keyed_send HOST PORT INTERFACE HASH`
have all segments carry hashes, `md5` or `ao`; the latter sends a piece until it is killed.
"""

import ctypes
import errno
import hashlib
import json
import random
import select
import socket
import struct
import sys

from devmem import DMABUF_FD, DMABUF_IFINDEX, SCM_DEVMEM_DMABUF, Memory, Netdev, libc
from netlink import attributes, number
from peers import family_of, require_ao, require_md5

NETDEV_CMD_BIND_TX = 15
DMABUF_ID = 4
SO_ZEROCOPY = 60
MSG_ZEROCOPY = 0x4000000
MSG_ERRQUEUE = 0x2000
SO_EE_ORIGIN_ZEROCOPY = 5

MEMORY_BYTES = 1 << 20
PAGE = 4096
# More than 17 pages, which is what a packet has places for; and of which it takes many.
LONG, SHORT = 100_000, 600
ROOM = 1 << 16
HASHES = {"md5": require_md5, "ao": require_ao}


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_size_t), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("iovecs", ctypes.POINTER(Iovec)),
        ("iovec_count", ctypes.c_size_t),
        ("control", ctypes.c_char_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


def bind(netdev, interface, memory):
    """The number by which programs send from the memory."""
    index = number(DMABUF_IFINDEX, socket.if_nametoindex(interface))
    request = index + number(DMABUF_FD, memory.fd)
    netdev.end.send(netdev.message(netdev.family, NETDEV_CMD_BIND_TX, request))
    answer = netdev.end.recv(1 << 16)
    length, kind = struct.unpack_from("IH", answer)
    if kind != netdev.family:
        raise OSError(-struct.unpack_from("i", answer, 16)[0], "bind-tx")
    content = dict(attributes(answer[20:length]))
    return struct.unpack("I", content[DMABUF_ID])[0]


def send_piece(connection, number_of, offset, length):
    """Bytes of the piece that were taken."""
    iovec = Iovec(offset, length)
    control = struct.pack(
        "QiiIxxxx", 20, socket.SOL_SOCKET, SCM_DEVMEM_DMABUF, number_of
    )
    message = Message(None, 0, ctypes.pointer(iovec), 1, control, len(control), 0)
    sent = libc.sendmsg(connection.fileno(), ctypes.byref(message), MSG_ZEROCOPY)
    if sent < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"sendmsg: {errno.errorcode.get(code)}")
    return sent


def completed(connection):
    """Of how many calls the memory is no longer read, as far as the kernel has said."""
    calls = 0
    while True:
        try:
            _, messages, _, _ = connection.recvmsg(0, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return calls
        for _, _, content in messages:
            _, origin, _, _, _, first, last = struct.unpack_from("IBBBBII", content)
            assert origin == SO_EE_ORIGIN_ZEROCOPY, origin
            calls += last - first + 1


def place(chance, end, length):
    """Anywhere; or as far into a page as the piece before it ended in another."""
    if chance.random() < 0.5:
        return chance.randrange(MEMORY_BYTES - length)
    return chance.randrange((MEMORY_BYTES - length) // PAGE - 1) * PAGE + end % PAGE


def report(count, digest, **more):
    print(json.dumps({"bytes": count, "hash": digest.hexdigest(), **more}), flush=True)


def sink(host):
    with socket.socket(family_of(host)) as server:
        server.bind((host, 0))
        server.listen()
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
    digest, count = hashlib.sha256(), 0
    while data := connection.recv(ROOM):
        digest.update(data)
        count += len(data)
    report(count, digest)


def send(host, port, interface, total, seed):
    chance = random.Random(int(seed))
    netdev, memory = Netdev(), Memory(MEMORY_BYTES)
    memory.bytes[:] = chance.randbytes(MEMORY_BYTES)
    bound = bind(netdev, interface, memory)

    connection = socket.socket(family_of(host))
    connection.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    connection.connect((host, int(port)))
    digest, count, calls, done, end = hashlib.sha256(), 0, 0, 0, 0
    while count < int(total):
        length = chance.randint(1, LONG if chance.random() < 0.2 else SHORT)
        length = min(length, int(total) - count)
        if chance.random() < 0.1:
            data = chance.randbytes(length)
            connection.sendall(data)
        else:
            offset = place(chance, end, length)
            sent = send_piece(connection, bound, offset, length)
            data, calls = memory.bytes[offset : offset + sent], calls + 1
            end = offset + sent
        digest.update(data)
        count += len(data)
        done += completed(connection)
    connection.shutdown(socket.SHUT_WR)
    waiting = select.poll()
    waiting.register(connection, 0)
    while done < calls:
        waiting.poll()
        done += completed(connection)
    report(count, digest, calls=calls, completed=done)


def keyed_sink(host, kind, sender):
    with socket.socket(family_of(host)) as server:
        HASHES[kind](server, sender)
        server.bind((host, 0))
        server.listen()
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
        while connection.recv(ROOM):
            pass


def keyed_send(host, port, interface, kind):
    netdev, memory = Netdev(), Memory(MEMORY_BYTES)
    bound = bind(netdev, interface, memory)
    connection = socket.socket(family_of(host))
    connection.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    HASHES[kind](connection, host)
    connection.connect((host, int(port)))
    send_piece(connection, bound, 0, SHORT)
    # Which TCP sends again and again.
    sys.stdin.read()


{each.__name__: each for each in (sink, send, keyed_sink, keyed_send)}[sys.argv[1]](*sys.argv[2:])
