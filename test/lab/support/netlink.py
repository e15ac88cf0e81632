"""What all netlink messages are made of: attributes."""

import struct


def attribute(kind, content):
    length = 4 + len(content)
    return struct.pack("HH", length, kind) + content + bytes(-length % 4)


def number(kind, value):
    return attribute(kind, struct.pack("I", value))


def attributes(content):
    """Kind and content of each, without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER."""
    at = 0
    while at + 4 <= len(content):
        length, kind = struct.unpack_from("HH", content, at)
        yield kind & 0x3FFF, content[at + 4 : at + length]
        at += (length + 3) & ~3
