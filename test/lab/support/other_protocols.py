"""`other_protocols.py KIND HOST`: a peer that sends what is not a plain TCP segment.

Prints a line of JSON about answers, where it waits for any.
"""

import json
import os
import socket
import struct
import sys

from peers import checksum, family_of

PORT = 4321
PATTERN = bytes(range(1, 251))
ICMP_TIMESTAMP = 13
ECHO = {socket.AF_INET: (8, 0, socket.IPPROTO_ICMP), socket.AF_INET6: (128, 129, 58)}
FRAGMENT_HEADER = 44
DESTINATION_OPTIONS = 60
HOPS = 64
# Of each burst, so many that a NIC may join them.
DATAGRAMS = 8
# What each run sends from, for connection tracking to take it for something new.
OWN_PORT = 20000 + os.getpid() % 20000
ICMP_UNREACHABLE = 3
PORT_UNREACHABLE = 3
SCTP_INIT = 1
SCTP_UNKNOWN_PARAMETER = 0xC0FF
CRC32C = 0x82F63B78
PIM = 103
PIM_REGISTER = 0x21
DCCP = 33
WRONG = 0x5555
# What is quoted before an extension, and the version that this begins with.
QUOTED_BYTES = 128
EXTENSION = 0x20


def datagrams(host):
    """Long datagrams one after the other, and a short one at the end."""
    end = socket.socket(family_of(host), socket.SOCK_DGRAM)
    end.connect((host, PORT))
    for _ in range(DATAGRAMS):
        end.send(PATTERN * 4)
    end.send(b"short")


def icmp(kind, body):
    """An ICMP message, its checksum for IPv4."""
    parts = struct.pack("!BBHHH", kind, 0, 0, 1, 1), body
    check = checksum(b"".join(parts))
    return struct.pack("!BBHHH", kind, 0, check, 1, 1) + body


def echo(host):
    """What of an echo is not zero, nor what was sent."""
    request, reply, protocol = ECHO[family_of(host)]
    end = socket.socket(family_of(host), socket.SOCK_RAW, protocol)
    end.connect((host, 0))
    body = PATTERN * 4
    # The kernel sums those of IPv6 up itself.
    end.send(icmp(request, body))
    while True:
        packet = end.recv(1 << 16)
        message = packet[20:] if end.family == socket.AF_INET else packet
        if message[0] == reply:
            break
    strange = sum(1 for got, sent in zip(message[8:], body) if got not in (0, sent))
    print(json.dumps({"bytes": len(message) - 8, "strange": strange}), flush=True)


def timestamp(host):
    end = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    end.connect((host, 0))
    end.send(icmp(ICMP_TIMESTAMP, PATTERN[:12]))


def unsummed_icmp(host):
    """An ICMP message with a wrong checksum."""
    end = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    end.connect((host, 0))
    end.send(struct.pack("!BBHHH", 8, 0, WRONG, 1, 1) + PATTERN)


def crc32c(data):
    """The checksum of SCTP (RFC 9260), as it goes into a packet."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CRC32C if crc & 1 else 0)
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def sctp(host):
    """The start of an association, with a long parameter."""
    body = PATTERN[:248] * 4
    parameter = struct.pack("!HH", SCTP_UNKNOWN_PARAMETER, 4 + len(body)) + body
    init = struct.pack("!BBHIIHHI", SCTP_INIT, 0, 20 + len(parameter), 1, 65536, 1, 1, 1)
    ports = struct.pack("!HHI", OWN_PORT, PORT, 0)
    check = crc32c(ports + bytes(4) + init + parameter)
    end = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    end.connect((host, 0))
    end.send(ports + check + init + parameter)


def pim(host):
    """A register with a wrong checksum, whichever of both ways it is summed up."""
    end = socket.socket(family_of(host), socket.SOCK_RAW, PIM)
    end.connect((host, 0))
    end.send(struct.pack("!BBHI", PIM_REGISTER, 0, WRONG, 0) + PATTERN * 4)


def dccp(host):
    """A request with a wrong checksum."""
    end = socket.socket(family_of(host), socket.SOCK_RAW, DCCP)
    end.connect((host, 0))
    head = struct.pack("!HHBBHBBHII", OWN_PORT, PORT, 5, 0, WRONG, 1, 0, 0, 1, 0)
    end.send(head + PATTERN * 4)


def quoted_answer(host, own):
    """A datagram from there, as errors of ICMP quote it."""
    udp = struct.pack("!HHHH", PORT, OWN_PORT, 8 + len(PATTERN), 0) + PATTERN
    addresses = socket.inet_aton(host) + socket.inet_aton(own)
    fields = (0x45, 0, 20 + len(udp), 7, 0, HOPS, socket.IPPROTO_UDP)
    ip = struct.pack("!BBHHHBB", *fields)
    return ip + struct.pack("!H", checksum(ip + bytes(2) + addresses)) + addresses + udp


def refuse(host, quoted, words=0):
    """Tells that nobody is at a port; `words` of what is quoted come before an extension."""
    head = struct.pack("!BBHBBH", ICMP_UNREACHABLE, PORT_UNREACHABLE, 0, 0, words, 0)
    check = struct.pack("!H", checksum(head + quoted))
    end = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    end.connect((host, 0))
    end.send(head[:2] + check + head[4:] + quoted)


def icmp_error(host):
    """A datagram, and that its answer finds nobody, with more quoted than one needs."""
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind(("", OWN_PORT))
    end.connect((host, PORT))
    end.send(b"short")
    refuse(host, quoted_answer(host, end.getsockname()[0]))


def extended_error(host):
    """That a datagram from there finds nobody, with an extension (RFC 4884)."""
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.connect((host, PORT))
    data = struct.pack("!HBB", 4 + 2 * len(PATTERN), 1, 1) + PATTERN * 2
    check = checksum(struct.pack("!BBH", EXTENSION, 0, 0) + data)
    quoted = quoted_answer(host, end.getsockname()[0])[:QUOTED_BYTES]
    refuse(host, quoted + struct.pack("!BBH", EXTENSION, 0, check) + data, QUOTED_BYTES // 4)


def knock(host):
    """The start of a connection, to a port that nobody listens at."""
    end = socket.socket(family_of(host), socket.SOCK_STREAM)
    end.setblocking(False)
    end.connect_ex((host, PORT))


def segment():
    """The start of a connection, with as many options as there can be."""
    options = b"\1" * 40
    return struct.pack("!HHIIBBHHH", PORT, PORT, 1, 0, 15 << 4, 2, 1024, 0, 0) + options


def summed_segment(addresses):
    """The same with payload and its checksum, for IPv6."""
    data = segment() + PATTERN * 4
    pseudo_header = addresses + struct.pack("!II", len(data), socket.IPPROTO_TCP)
    check = struct.pack("!H", checksum(pseudo_header + data))
    return data[:16] + check + data[18:]


def options(host):
    """A segment behind 64 bytes of destination options."""
    end = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    end.connect((host, 0))
    own = end.getsockname()[0]
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, each) for each in (own, host))
    padding = struct.pack("!BBBB60x", socket.IPPROTO_TCP, 7, 1, 60)
    data = padding + summed_segment(addresses)
    end.send(struct.pack("!IHBB", 6 << 28, len(data), DESTINATION_OPTIONS, HOPS) + addresses + data)


def ipv4_fragment(end, host, data, offset, more):
    addresses = [socket.inet_aton(each) for each in (end.getsockname()[0], host)]
    place = offset // 8 | (0x2000 if more else 0)
    # The kernel fills in the length and the checksum.
    fields = (0x45, 0, 0, 7, place, HOPS, socket.IPPROTO_TCP, 0)
    end.send(struct.pack("!BBHHHBBH", *fields) + b"".join(addresses) + data)


def ipv6_fragment(end, host, data, offset, more):
    addresses = [socket.inet_pton(socket.AF_INET6, each) for each in (end.getsockname()[0], host)]
    header = struct.pack("!IHBB", 6 << 28, 8 + len(data), FRAGMENT_HEADER, HOPS)
    fragment = struct.pack("!BBHI", socket.IPPROTO_TCP, 0, offset | more, 7)
    end.send(header + b"".join(addresses) + fragment + data)


def fragments(host, swap=False):
    """A segment in two fragments, of which the first ends in the middle of TCP's header."""
    end = socket.socket(family_of(host), socket.SOCK_RAW, socket.IPPROTO_RAW)
    end.connect((host, 0))
    ipv4 = end.family == socket.AF_INET
    # IPv6 wants what is fixed of it in the first one.
    cut = 8 if ipv4 else 24
    data = segment() + PATTERN * 4
    parts = [(data[:cut], 0, True), (data[cut:], cut, False)]
    for part in reversed(parts) if swap else parts:
        (ipv4_fragment if ipv4 else ipv6_fragment)(end, host, *part)


def fragments_swapped(host):
    fragments(host, swap=True)


KINDS = {
    each.__name__: each
    for each in (
        *(datagrams, echo, timestamp, unsummed_icmp),
        *(fragments, fragments_swapped),
        *(sctp, icmp_error, extended_error, knock, options),
        *(pim, dccp),
    )
}

KINDS[sys.argv[1]](sys.argv[2])
