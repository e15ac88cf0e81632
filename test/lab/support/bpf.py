"""BPF programs of two instructions, and what they are attached to."""

import ctypes
import socket
import struct

from devmem import libc

BPF_MAP_CREATE = 0
BPF_MAP_UPDATE_ELEM = 2
BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_LINK_CREATE = 28
BPF_PROG_TYPE_XDP = 6
BPF_PROG_TYPE_SK_SKB = 14
BPF_MAP_TYPE_SOCKMAP = 15
BPF_SK_SKB_STREAM_PARSER = 4
BPF_SK_SKB_STREAM_VERDICT = 5
BPF_XDP = 37
XDP_FLAGS_SKB_MODE = 2
SYS_BPF = 321


def bpf(command, *parts):
    attributes = b"".join(parts)
    result = libc.syscall(SYS_BPF, command, attributes, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf {command}")
    return result


def answer(value):
    """An instruction: to a program's answer, always the same."""
    return struct.pack("BBhi", 0xB7, 0, 0, value)


# The same: the bytes of the packet, which struct __sk_buff begins with.
ANSWER_LENGTH = struct.pack("BBhi", 0x61, 0x10, 0, 0)


def load_program(kind, instruction):
    """A program that gives an answer about each packet."""
    code = ctypes.create_string_buffer(instruction + struct.pack("BBhi", 0x95, 0, 0, 0))
    name = ctypes.create_string_buffer(b"GPL")
    addresses = (ctypes.addressof(code), ctypes.addressof(name))
    return bpf(BPF_PROG_LOAD, struct.pack("IIQQ", kind, 2, *addresses), bytes(96))


def add_to_sockmap(connection, parse=False):
    """Has a program pass everything to whoever reads the socket; another may find messages."""
    sockets = bpf(BPF_MAP_CREATE, struct.pack("IIII", BPF_MAP_TYPE_SOCKMAP, 4, 4, 1), bytes(56))
    programs = {BPF_SK_SKB_STREAM_VERDICT: answer(1)}
    if parse:
        programs[BPF_SK_SKB_STREAM_PARSER] = ANSWER_LENGTH
    for place, instruction in programs.items():
        attach = (sockets, load_program(BPF_PROG_TYPE_SK_SKB, instruction), place, 0)
        bpf(BPF_PROG_ATTACH, struct.pack("IIII", *attach))
    key = ctypes.create_string_buffer(struct.pack("I", 0))
    value = ctypes.create_string_buffer(struct.pack("I", connection.fileno()))
    entry = (sockets, ctypes.addressof(key), ctypes.addressof(value), 0)
    bpf(BPF_MAP_UPDATE_ELEM, struct.pack("I4xQQQ", *entry))


def pass_by_xdp(interface):
    """Attaches a program that passes everything."""
    program = load_program(BPF_PROG_TYPE_XDP, answer(2))
    index = socket.if_nametoindex(interface)
    link = struct.pack("IIII", program, index, BPF_XDP, XDP_FLAGS_SKB_MODE)
    return bpf(BPF_LINK_CREATE, link, bytes(32))
