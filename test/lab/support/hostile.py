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
import threading

MSG_SOCK_DEVMEM = 0x2000000
SCM_DEVMEM_DMABUF = 79
SO_DEVMEM_DONTNEED = 80
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
BPF_PROG_LOAD = 5
BPF_LINK_CREATE = 28
BPF_PROG_TYPE_XDP = 6
BPF_XDP = 37
XDP_FLAGS_SKB_MODE = 2
SYS_BPF = 321

libc = ctypes.CDLL(None, use_errno=True)


def attempt(call):
    """What a call returned, or the name of its error."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def wait_for(end):
    select.select([end], [], [])


def give_back(connection, start, count):
    """The number of tokens that stood for something."""
    ranges = ctypes.create_string_buffer(struct.pack("II", start, count))
    result = libc.setsockopt(
        connection.fileno(), socket.SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges, 8
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), "setsockopt")
    return result


def receive(connection, room=1 << 16):
    """Bytes and tokens of one recvmsg."""
    data, messages, _, _ = connection.recvmsg(room, 1 << 14, MSG_SOCK_DEVMEM)
    fragments = [
        struct.unpack("QIIII", content)
        for _, kind, content in messages
        if kind == SCM_DEVMEM_DMABUF
    ]
    count = sum(size for _, size, _, _, _ in fragments)
    return count or len(data), [token for _, _, token, _, _ in fragments]


def read(connection):
    return attempt(lambda: len(connection.recv(4096)))


def peek(connection):
    return attempt(lambda: len(connection.recv(4096, socket.MSG_PEEK)))


def splice(connection):
    _, pipe = os.pipe()
    connection.setblocking(False)
    return attempt(lambda: os.splice(connection.fileno(), pipe, 65536))


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


def ktls(connection):
    connection.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
    # TLS 1.2, AES-GCM-128, with zeroes for all secrets
    connection.setsockopt(SOL_TLS, TLS_RX, struct.pack("HH", 0x0303, 51) + bytes(36))
    return attempt(lambda: len(connection.recv(4096)))


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


def verdict(length, captured):
    """Of a packet with payload: whether it was cut, to no more than its headers."""
    return [captured < length, captured <= 128]


def packet_socket(end, port):
    end.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    while True:
        packet, messages, _, _ = end.recvmsg(1 << 17, 256)
        _, length, captured = struct.unpack_from("III", messages[0][2])
        if length > 200 and is_ours(packet, port):
            return verdict(length, captured)


def packet_ring(end, port):
    frame = 1 << 16
    end.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
    end.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("IIII", 1 << 20, 1, frame, 16))
    ring = mmap.mmap(end.fileno(), 1 << 20)
    at = 0
    while True:
        status, length, captured, offset = struct.unpack_from("IIIH", ring, at * frame)
        if not status & 1:
            wait_for(end)
            continue
        packet = ring[at * frame + offset : at * frame + offset + captured]
        struct.pack_into("I", ring, at * frame, 0)
        at = (at + 1) % 16
        if length > 200 and is_ours(packet, port):
            return verdict(length, captured)


def xdp(interface):
    """Attaches a program that passes everything."""
    code = ctypes.create_string_buffer(struct.pack("BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0))
    name = ctypes.create_string_buffer(b"GPL")
    load = struct.pack(
        "IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(name)
    ) + bytes(96)
    program = libc.syscall(SYS_BPF, BPF_PROG_LOAD, load, len(load))
    if program < 0:
        raise OSError(ctypes.get_errno(), "BPF_PROG_LOAD")
    index = socket.if_nametoindex(interface)
    link = struct.pack("IIII", program, index, BPF_XDP, XDP_FLAGS_SKB_MODE) + bytes(32)
    if libc.syscall(SYS_BPF, BPF_LINK_CREATE, link, len(link)) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return "attached"


ACTIONS = {
    each.__name__: each
    for each in (
        read,
        peek,
        splice,
        zerocopy,
        ktls,
        forged_tokens,
        thieving_thread,
        fork_with_tokens,
        end_with_tokens,
    )
}

CAPTURES = {each.__name__: each for each in (packet_socket, packet_ring)}


def say(thing):
    print(json.dumps(thing), flush=True)


def main(host, action):
    if action == "xdp":
        say({"outcome": xdp(host)})
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family)
    port = server.getsockname()[1]
    if action in CAPTURES:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.bind(("dms0", ETH_P_ALL))
    say({"port": port})
    connection, _ = server.accept()
    wait_for(connection)
    if action in CAPTURES:
        say({"outcome": CAPTURES[action](end, port)})
    else:
        say({"outcome": ACTIONS[action](connection)})
    connection.close()


main(*sys.argv[1:])
