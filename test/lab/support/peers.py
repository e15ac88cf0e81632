"""`peers.py KIND HOST PORT`: a peer that is more than a plain TCP sender.

Sends until it is killed, or for as long as the receiver takes it.
"""

import fcntl
import ipaddress
import socket
import struct
import sys
import termios
import time

IPPROTO_MPTCP = 262
TCP_MD5SIG = 14
TCP_AO_ADD_KEY = 38
NOP, TCPOPT_MD5SIG, TCPOPT_AO = 1, 19, 29
AO_KEY_ID = 1
KEY = b"known to both"
# Bytes that are in no page what they are in another.
MESSAGE = bytes(range(251)) * 1000
# How many of those are sent a byte at a time.
SINGLE_BYTES = 4096
# Bytes that are sent at a time to who asks for them.
PIECE = 32768
# Bytes behind the header of a record that TLS 1.2 has there for AES-GCM.
TLS_NONCE = 8
# What comes between: with a byte it fills a page of sixteen pieces.
FILLING = bytes(15 * 256)


def socket_address(host):
    """A struct sockaddr_storage without a port."""
    address = ipaddress.ip_address(host)
    if address.version == 4:
        return struct.pack("=H2x4s120x", socket.AF_INET, address.packed)
    return struct.pack("=H6x16s104x", socket.AF_INET6, address.packed)


def require_md5(end, peer):
    """Has segments from and to an address carry hashes."""
    key = struct.pack("=128sBBHi80s", socket_address(peer), 0, 0, len(KEY), 0, KEY)
    end.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, key)


def require_ao(end, peer):
    """The same by TCP-AO."""
    prefix = 32 if end.family == socket.AF_INET else 128
    key = struct.pack(
        "=128s64siIHBBBBBB80s",
        *(socket_address(peer), b"hmac(sha1)", 0, 0, 0),
        *(prefix, AO_KEY_ID, AO_KEY_ID, 12, 0, len(KEY), KEY),
    )
    end.setsockopt(socket.IPPROTO_TCP, TCP_AO_ADD_KEY, key + bytes(-len(key) % 8))


def stream(end, data=bytes(65536)):
    while True:
        end.sendall(data)


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def md5(host, port, require=require_md5):
    end = socket.socket(family_of(host))
    require(end, host)
    end.connect((host, port))
    stream(end)


def ao(host, port):
    md5(host, port, require=require_ao)


def when_asked(host, port):
    """Sends nothing until the receiver does."""
    end = socket.create_connection((host, port))
    end.recv(1)
    stream(end)


def pieces_when_asked(host, port):
    """Sends a piece for each byte that it gets."""
    end = socket.create_connection((host, port))
    while end.recv(1):
        end.sendall(bytes(PIECE))


def again(host, port):
    """Streams by one connection after the other, as long as it takes for somebody to listen."""
    while True:
        try:
            with socket.create_connection((host, port)) as end:
                stream(end)
        except ConnectionRefusedError:
            time.sleep(0.01)
        except ConnectionError:
            pass


def message(host, port):
    """Sends no more than a message, and leaves the connection open."""
    end = socket.create_connection((host, port))
    end.sendall(MESSAGE)
    end.recv(1)


def messages(host, port):
    """Sends it over and over."""
    stream(socket.create_connection((host, port)), MESSAGE)


def undelayed(host, port):
    """A connection on which each send makes segments of its own, with MSG_EOR."""
    end = socket.create_connection((host, port))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end


def single_bytes(host, port, between=lambda: None):
    """Sends the message's beginning, each byte in a segment of its own, and the stream's end."""
    end = undelayed(host, port)
    for byte in MESSAGE[:SINGLE_BYTES]:
        end.send(bytes([byte]), socket.MSG_EOR)
        between()
    end.shutdown(socket.SHUT_WR)
    end.recv(1)


def single_bytes_by_turns(host, port):
    """The same by its second connection; the first fills what each byte leaves of a page."""
    other = undelayed(host, port)

    def fill():
        other.send(FILLING, socket.MSG_EOR)
        while fcntl.ioctl(other, termios.TIOCOUTQ, bytes(4)) != bytes(4):
            time.sleep(0)

    single_bytes(host, port, fill)


def tls_records(host, port):
    """Records of application data, as long as they may be, that decrypt to nothing.

    The header of each, and as much as is encrypted apart, is in a segment of its own.
    """
    end = undelayed(host, port)
    header = struct.pack("!BHH", 23, 0x0303, 16384) + bytes(TLS_NONCE)
    while True:
        end.send(header, socket.MSG_EOR)
        end.sendall(bytes(16384 - TLS_NONCE))


def mptcp(host, port):
    end = socket.socket(family_of(host), socket.SOCK_STREAM, IPPROTO_MPTCP)
    end.connect((host, port))
    stream(end)


def checksum(data):
    """Of the Internet, over an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segments(host, port, damage=0, options=b""):
    """Sixteen TCP segments that belong to no connection, and over IPv4 may be fragmented."""
    end = socket.socket(family_of(host), socket.SOCK_RAW, socket.IPPROTO_TCP)
    if end.family == socket.AF_INET:
        # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
        end.setsockopt(socket.IPPROTO_IP, 10, 0)
    end.connect((host, 0))
    payload = options + bytes(1300)
    words = 5 + len(options) // 4
    addresses = [socket.inet_pton(end.family, each) for each in (end.getsockname()[0], host)]
    # IPv6 has wider fields there, of which the rest are zeroes.
    lengths = struct.pack("!HH", socket.IPPROTO_TCP, 20 + len(payload))
    pseudo = b"".join(addresses) + lengths

    def header(check):
        return struct.pack("!HHIIBBHHH", 4321, port, 1, 1, words << 4, 0x10, 1024, check, 0)

    segment = header(checksum(pseudo + header(0) + payload) ^ damage) + payload
    for _ in range(16):
        end.send(segment)


def damaged(host, port):
    """The same, with wrong checksums."""
    segments(host, port, damage=0x5555)


def wrong_md5(host, port):
    """The same, with a hash that whoever has no key makes up."""
    segments(host, port, options=struct.pack("BBBB16x", NOP, NOP, TCPOPT_MD5SIG, 18))


def wrong_ao(host, port):
    """The same by TCP-AO, with the number of require_ao's key."""
    segments(host, port, options=struct.pack("BBBB12x", TCPOPT_AO, 16, AO_KEY_ID, AO_KEY_ID))


KINDS = {
    each.__name__: each
    for each in (
        *(md5, ao, mptcp, again, when_asked, pieces_when_asked, message, messages),
        *(single_bytes, single_bytes_by_turns, tls_records, segments, damaged),
        *(wrong_md5, wrong_ao),
    )
}

if __name__ == "__main__":
    kind, host, port = sys.argv[1:]
    try:
        KINDS[kind](host, int(port))
    except (ConnectionError, BrokenPipeError):
        pass
