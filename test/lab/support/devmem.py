"""The kernel's interface to device memory: making it, binding it, receiving into it."""

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct

from netlink import attribute, attributes, number

MSG_SOCK_DEVMEM = 0x2000000
SCM_DEVMEM_DMABUF = 79
SO_DEVMEM_DONTNEED = 80

MFD_ALLOW_SEALING = 2
F_ADD_SEALS = 1033
F_SEAL_SHRINK = 2
UDMABUF_CREATE = 0x40187542

NETLINK_GENERIC = 16
NLM_F_REQUEST = 1
NLM_F_DUMP = 0x300
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLA_F_NESTED = 1 << 15
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2
NETDEV_CMD_PAGE_POOL_GET = 5
NETDEV_CMD_BIND_RX = 13
DMABUF_IFINDEX, DMABUF_QUEUES, DMABUF_FD, DMABUF_ID = 1, 2, 3, 4
QUEUE_ID, QUEUE_TYPE = 1, 3
PAGE_POOL_ID, PAGE_POOL_DETACH_TIME = 1, 6

libc = ctypes.CDLL(None, use_errno=True)


def attempt(call):
    """What a call returned, or the name of its error."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def give_back(connection, start, count):
    """The number of tokens that stood for something."""
    ranges = ctypes.create_string_buffer(struct.pack("II", start, count))
    result = libc.setsockopt(
        connection.fileno(), socket.SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges, 8
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), "setsockopt")
    return result


def parse_bound(received):
    """The same as `parse`, with the binding of each fragment: (offset, size, token, binding)."""
    data, messages, _, _ = received
    records = [
        struct.unpack("QIIII", content)[:4]
        for _, kind, content in messages
        if kind == SCM_DEVMEM_DMABUF
    ]
    # The bytes of fragments count as if they lay in the buffer.
    return b"" if records else data, records


def parse(received):
    """Readable bytes, or (offset, size, token) of each fragment, of what recvmsg returned."""
    data, records = parse_bound(received)
    return data, [record[:3] for record in records]


def receive(connection, room=1 << 16):
    """Bytes and tokens of one recvmsg."""
    data, fragments = parse(connection.recvmsg(room, 1 << 14, MSG_SOCK_DEVMEM))
    count = sum(size for _, size, _ in fragments)
    return count or len(data), [token for _, _, token in fragments]


class Memory:
    """A udmabuf, and what the CPU sees of it."""

    def __init__(self, size):
        pages = os.memfd_create("devmem", MFD_ALLOW_SEALING)
        os.ftruncate(pages, size)
        fcntl.fcntl(pages, F_ADD_SEALS, F_SEAL_SHRINK)
        with open("/dev/udmabuf", "rb", buffering=0) as device:
            request = bytearray(struct.pack("IIQQ", pages, 0, 0, size))
            self.fd = fcntl.ioctl(device, UDMABUF_CREATE, request)
        self.bytes = mmap.mmap(pages, size)
        os.close(pages)


class Netdev:
    """A socket of a generic netlink family: closing one of "netdev" ends what it bound."""

    def __init__(self, family="netdev"):
        self.end = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.end.bind((0, 0))
        name = attribute(CTRL_ATTR_FAMILY_NAME, family.encode() + b"\0")
        self.end.send(self.message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name))
        answer = self.end.recv(1 << 16)
        at = 20
        while True:
            length, kind = struct.unpack_from("HH", answer, at)
            if kind == CTRL_ATTR_FAMILY_ID:
                (self.family,) = struct.unpack_from("H", answer, at + 4)
                return
            at += (length + 3) & ~3

    @staticmethod
    def message(family, command, *content, flags=0):
        body = struct.pack("BBH", command, 1, 0) + b"".join(content)
        return struct.pack("IHHII", 16 + len(body), family, NLM_F_REQUEST | flags, 0, 0) + body

    def bind_request(self, interface, queues, dma_buf):
        content = (
            number(DMABUF_IFINDEX, socket.if_nametoindex(interface)),
            number(DMABUF_FD, dma_buf),
            *(
                attribute(DMABUF_QUEUES | NLA_F_NESTED, number(QUEUE_TYPE, 0) + number(QUEUE_ID, queue))
                for queue in queues
            ),
        )
        return self.message(self.family, NETDEV_CMD_BIND_RX, *content)

    def expect_answer(self):
        """Raises the error that the kernel answered with; else the answer."""
        answer = self.end.recv(1 << 16)
        if struct.unpack_from("H", answer, 4)[0] == NLMSG_ERROR:
            raise OSError(-struct.unpack_from("i", answer, 16)[0], "bind-rx")
        return answer

    def bind(self, interface, queues, dma_buf):
        """Binds; the number of the binding."""
        self.end.send(self.bind_request(interface, queues, dma_buf))
        content = attributes(self.expect_answer()[20:])
        return next(struct.unpack("I", value)[0] for kind, value in content if kind == DMABUF_ID)

    def pools(self):
        """Numbers of the page pools that queues use, one for each."""
        self.end.send(self.message(self.family, NETDEV_CMD_PAGE_POOL_GET, flags=NLM_F_DUMP))
        pools = set()
        while True:
            answer = self.end.recv(1 << 16)
            at = 0
            while at < len(answer):
                length, kind = struct.unpack_from("IH", answer, at)
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    return pools
                pool = dict(attributes(answer[at + 20 : at + length]))
                if PAGE_POOL_DETACH_TIME not in pool:
                    pools.add(pool[PAGE_POOL_ID])
                at += (length + 3) & ~3

    def close(self):
        self.end.close()
