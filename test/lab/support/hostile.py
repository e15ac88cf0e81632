"""`hostile.py HOST ACTION`: accepts a connection and treats it as no receiver should.

Prints a line of JSON with the port, and one with what came of it.
"""

import ctypes
import errno
import json
import mmap
import os
import select
import socket
import struct
import sys
import tempfile
import threading
import time

from bpf import add_to_sockmap, pass_by_xdp
from devmem import MSG_SOCK_DEVMEM, attempt, give_back, libc, parse, receive
from memory_group import memory_group
from peers import IPPROTO_MPTCP, PIECE, family_of, require_ao, require_md5

TCP_ULP = 31
TCP_ZEROCOPY_RECEIVE = 35
SOL_TLS = 282
TLS_RX = 2
SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_AUXDATA = 8
PACKET_VERSION = 10
TPACKET_V2 = 1
ETH_P_ALL = 3
SYS_RECVMSG = 47


PEEK_DEVMEM = MSG_SOCK_DEVMEM | socket.MSG_PEEK
# As many as nobody is to get by peeking.
ENOUGH_TOKENS = 200_000
# What a token takes at least: a pointer.
TOKEN_BYTES = 8
# For what was asked for to come, however slow the machine is.
ENOUGH_SECONDS = 40


def wait_for(end):
    select.select([end], [], [])


def read(connection):
    return attempt(lambda: len(connection.recv(4096)))


def peek(connection):
    return attempt(lambda: len(connection.recv(4096, socket.MSG_PEEK)))


def splice(connection):
    _, pipe = os.pipe()
    connection.setblocking(False)
    return attempt(lambda: os.splice(connection.fileno(), pipe, 65536))


def sendfile(connection):
    """What came of sending it to a pipe, which is the socket's own splice, and to a file."""
    _, pipe = os.pipe()
    os.set_blocking(pipe, False)
    connection.setblocking(False)
    with tempfile.TemporaryFile() as file:
        return [
            attempt(lambda: os.sendfile(out, connection.fileno(), None, 65536))
            for out in (pipe, file.fileno())
        ]


def zerocopy(connection):
    """Bytes mapped and copied."""
    libc.mmap.restype = ctypes.c_void_p
    size = 1 << 20
    fd = connection.fileno()
    address = libc.mmap(None, ctypes.c_size_t(size), 1, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    copy = ctypes.create_string_buffer(65536)
    request = struct.pack("QIIIiQi4x", address, size, 0, 0, 0, ctypes.addressof(copy), 4096)
    answer = ctypes.create_string_buffer(request)
    length = ctypes.c_uint(len(request))
    pointer = ctypes.byref(length)
    if libc.getsockopt(fd, socket.IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, answer, pointer) < 0:
        return errno.errorcode[ctypes.get_errno()]
    _, mapped, _, _, _, _, copied = struct.unpack("QIIIiQi4x", answer.raw[: len(request)])
    return mapped + max(copied, 0)


def use_kernel_tls(connection):
    connection.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
    # TLS 1.2, AES-GCM-128, with zeroes for all secrets
    connection.setsockopt(SOL_TLS, TLS_RX, struct.pack("HH", 0x0303, 51) + bytes(36))


def ktls(connection):
    use_kernel_tls(connection)
    return read(connection)


def ktls_records(connection):
    """The same, of records whose header can be read."""
    return ktls(connection)


def ktls_long_records(connection):
    """The same, where the receive buffer is too small for them."""
    return ktls(connection)


def peek_on(connection):
    """How many tokens peeks gave out before they failed, how, and whether all is well after.

    What the kernel's own bookkeeping took of memory is the fourth, in bytes, and the sixth what
    of it the program's cgroup was charged for; of the peeks that came then, the fifth is how many
    failed otherwise.
    """
    tokens = []
    outcome = 0
    with memory_group() as group:
        before = slab_bytes()
        charged_before = group.slab_bytes()
        while len(tokens) < ENOUGH_TOKENS and not isinstance(outcome, str):
            outcome = attempt(lambda: connection.recvmsg(1 << 16, 1 << 14, PEEK_DEVMEM))
            if not isinstance(outcome, str):
                tokens += [token for _, _, token in parse(outcome)[1]]
        if not isinstance(outcome, str):
            return [len(tokens), "none", False, 0, 0, 0]
        otherwise = sum(
            attempt(lambda: connection.recvmsg(1 << 16, 1 << 14, PEEK_DEVMEM)) != outcome
            for _ in range(int(os.environ["DEVMEM_PEEKS"]))
        )
        taken = slab_bytes() - before
        charged = group.slab_bytes_above(charged_before, len(tokens) * TOKEN_BYTES)
        returned = sum(give_back(connection, first, 1024) for first in range(1, 1 << 16, 1024))
        count, _ = receive(connection)
        well = returned == len(tokens) and count > 0
        return [len(tokens), outcome, well, taken, otherwise, charged]


def slab_bytes():
    with open("/proc/meminfo") as file:
        values = dict(line.split(":") for line in file)
    return int(values["Slab"].split()[0]) * 1024


def forged_tokens(connection):
    """How many were taken back that nobody had given out."""
    guesses = [(0, 1), (1, 2**32 - 1), (2**31 - 1, 2), (2**32 - 1, 2**32 - 1), (12345, 678)]
    return sum(give_back(connection, *guess) for guess in guesses)


def thieving_thread(connection):
    """Whether everything came while another thread gave back whatever it could guess."""
    over = threading.Event()

    def steal():
        while not over.is_set():
            give_back(connection, 1, 1024)

    thief = threading.Thread(target=steal)
    thief.start()
    total = 0
    while True:
        count, _ = receive(connection)
        if count == 0:
            break
        total += count
    over.set()
    thief.join()
    return total


def fork_with_tokens(connection):
    """How many tokens the child gave back of those that its parent had received."""
    _, tokens = receive(connection)
    child = os.fork()
    if child == 0:
        returned = sum(give_back(connection, token, 1) for token in tokens)
        os._exit(0 if returned == len(tokens) else 1)
    _, status = os.waitpid(child, 0)
    again = sum(give_back(connection, token, 1) for token in tokens)
    return [len(tokens) > 0, os.waitstatus_to_exitcode(status), again]


def end_with_tokens(connection):
    """Ends with everything that it received; the kernel has to clean up."""
    held = 0
    while held < 64:
        held += len(receive(connection)[1])
    return held >= 64


def is_ours(packet, port):
    """Whether a frame is TCP to the port."""
    at = 14 + (packet[14] & 15) * 4 if packet[12:14] == b"\x08\x00" else 54
    return len(packet) >= at + 4 and packet[at + 2 : at + 4] == struct.pack("!H", port)


def headers_alone(capture, port):
    """Of the first packet with payload: whether it was cut, to no more than its headers."""
    for packet, length, captured in capture:
        if length > 200 and is_ours(packet, port):
            return [captured < length, captured <= 128]


# Set up before the sender knows where to send: once the socket that nobody reads is full,
# no more payload comes.


def packet_socket(end):
    """What a packet socket captures: packets, their lengths, and how much of each is there."""
    end.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def capture():
        while True:
            packet, messages, _, _ = end.recvmsg(1 << 17, 256)
            _, length, captured = struct.unpack_from("III", messages[0][2])
            yield packet, length, captured

    return capture()


def packet_ring(end):
    """The same by a ring in shared memory."""
    frame = 1 << 16
    end.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
    end.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("IIII", 1 << 20, 1, frame, 16))
    ring = mmap.mmap(end.fileno(), 1 << 20)

    def capture():
        at = 0
        while True:
            status, length, captured, offset = struct.unpack_from("IIIH", ring, at * frame)
            if not status & 1:
                wait_for(end)
                continue
            packet = ring[at * frame + offset : at * frame + offset + captured]
            struct.pack_into("I", ring, at * frame, 0)
            at = (at + 1) % 16
            yield packet, length, captured

    return capture()


def sockmap(connection):
    add_to_sockmap(connection)
    wait_for(connection)
    connection.setblocking(False)
    return attempt(lambda: len(connection.recv(4096)))


def has_come_to_wait(thread, call):
    """Whether a thread is in a system call, or has had an answer at once."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/syscall") as file:
            return file.read().startswith(f"{call} ")
    except FileNotFoundError:
        return True


def ask_while_waiting(connection, read_it):
    """What came of reading, before which nothing was there; or that nobody woke the reader."""
    outcome = []
    reader = threading.Thread(target=lambda: outcome.append(read_it()))
    reader.start()
    while not has_come_to_wait(reader, SYS_RECVMSG):
        time.sleep(0.05)
    # A parser that has given up has told the socket so, which sending may tell first.
    while attempt(lambda: connection.send(b".")) != 1:
        pass
    reader.join(ENOUGH_SECONDS)
    if reader.is_alive():
        # Which finds what is there once anything wakes it.
        connection.shutdown(socket.SHUT_RD)
        reader.join()
        return "asleep"
    return outcome[0]


def sockmap_blocked(connection):
    """Whether payload came to a reader who waited for it before there was any."""
    add_to_sockmap(connection)
    return ask_while_waiting(connection, lambda: attempt(lambda: receive(connection)[0] > 0))


def sockmap_parser(connection):
    """The same by pieces, and what else the reader was told, of each of three."""
    add_to_sockmap(connection, parse=True)

    def read_piece():
        rest, told = PIECE, []
        while rest > 0 and len(told) < 3:
            got = attempt(lambda: receive(connection))
            if isinstance(got, str):
                told.append(got)
                continue
            count, tokens = got
            if count == 0:
                break
            rest -= count
            for token in tokens:
                give_back(connection, token, 1)
        return [rest, told]

    return [ask_while_waiting(connection, read_piece) for _ in range(3)]


def counter(table, name):
    """A counter of the network namespace, by the names of nstat's tables."""
    with open("/proc/net/netstat") as file:
        lines = [line.split() for line in file if line.startswith(f"{table}: ")]
    names, values = lines
    return int(values[names.index(name)])


def wait_for_refusals(name, before):
    """Until TCP has refused more segments for their hashes than before."""
    while counter("TcpExt", name) == before:
        time.sleep(0.05)


def md5(connection):
    """What could be read of segments with payload, of which some were refused."""
    connection.setblocking(False)
    return attempt(lambda: len(connection.recv(4096)))


def ao(connection):
    return md5(connection)


def mptcp(connection):
    """What could be read, and whether checksums were compared."""
    return [read(connection), counter("MPTcpExt", "DataCsumErr") > 0]


ACTIONS = {
    each.__name__: each
    for each in (
        read,
        peek,
        splice,
        sendfile,
        zerocopy,
        peek_on,
        ktls,
        ktls_records,
        ktls_long_records,
        sockmap,
        sockmap_blocked,
        sockmap_parser,
        md5,
        ao,
        mptcp,
        forged_tokens,
        thieving_thread,
        fork_with_tokens,
        end_with_tokens,
    )
}

PEER = {socket.AF_INET: "192.0.2.2", socket.AF_INET6: "2001:db8::2"}

# Of which TCP refuses all that comes to a bound queue: what requires that, and how it is counted.
HASHES = {
    "md5": (require_md5, "TCPMD5Failure"),
    "ao": (require_ao, "TCPAOBad"),
    "wrong_md5": (require_md5, "TCPMD5Failure"),
    "wrong_ao": (require_ao, "TCPAOBad"),
}
# Segments that belong to no connection.
WITHOUT_CONNECTION = {"wrong_md5", "wrong_ao"}
# Nothing comes before they ask for it.
WITHOUT_DATA = {"sockmap_blocked", "sockmap_parser"}

CAPTURES = {each.__name__: each for each in (packet_socket, packet_ring)}


def say(thing):
    print(json.dumps(thing), flush=True)


def main(host, action):
    if action == "xdp":
        say({"outcome": attempt(lambda: pass_by_xdp(host) and "attached")})
        return
    protocol = IPPROTO_MPTCP if action == "mptcp" else 0
    server = socket.socket(family_of(host), socket.SOCK_STREAM, protocol)
    if action in HASHES:
        require, refusals = HASHES[action]
        require(server, PEER[server.family])
        before = counter("TcpExt", refusals)
    if action == "ktls_long_records":
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.bind((host, 0))
    server.listen()
    port = server.getsockname()[1]
    if action in CAPTURES:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        capture = CAPTURES[action](end)
        end.bind(("dms0", ETH_P_ALL))
    say({"port": port})
    if action in WITHOUT_CONNECTION:
        wait_for_refusals(refusals, before)
        say({"outcome": "refused"})
        return
    connection, _ = server.accept()
    if action in HASHES:
        wait_for_refusals(refusals, before)
    elif action not in WITHOUT_DATA:
        wait_for(connection)
    if action in CAPTURES:
        say({"outcome": headers_alone(capture, port)})
    else:
        say({"outcome": ACTIONS[action](connection)})
    connection.close()


main(*sys.argv[1:])
