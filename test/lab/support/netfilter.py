"""`netfilter.py log|queue|pieces GROUP`: takes what a rule logs, or queues, to a group.

Asks for whole packets, lets each pass, and prints a line of JSON once it is ready. At
the end of stdin it prints another: the packets seen of connections that began meanwhile,
and the bytes of the longest. With `pieces`, super-packets are cut before they are queued.
"""

import errno
import json
import select
import socket
import struct
import sys

from netlink import attribute, attributes

NETLINK_NETFILTER = 12
NLM_F_REQUEST = 1
SO_RCVBUFFORCE = 33

ULOG = 4
QUEUE = 3
WHOLE = 0xFFFF
COPY_PACKET = 2
ACCEPT = 1
GSO = 1 << 2


class Group:
    def __init__(self, subsystem, group):
        self.end = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.end.bind((0, 0))
        self.subsystem = subsystem
        self.group = group

    def send(self, message, *content):
        body = struct.pack("!BBH", 0, 0, self.group) + b"".join(content)
        kind = self.subsystem << 8 | message
        header = struct.pack("IHHII", 16 + len(body), kind, NLM_F_REQUEST, 0, 0)
        self.end.send(header + body)

    def receive(self):
        """The attributes of each message that came."""
        try:
            data = self.end.recv(1 << 18)
        except OSError as error:
            # Some were lost; those that were queued have passed, as ever.
            if error.errno != errno.ENOBUFS:
                raise
            return
        at = 0
        while at < len(data):
            length, kind = struct.unpack_from("IH", data, at)
            if kind == self.subsystem << 8:
                yield dict(attributes(data[at + 20 : at + length]))
            at += (length + 3) & ~3


class Log(Group):
    def __init__(self, group):
        super().__init__(ULOG, group)
        mode = struct.pack("!IBB", WHOLE, COPY_PACKET, 0)
        # Each packet at once: 1 is the threshold.
        threshold = struct.pack("!I", 1)
        self.send(1, attribute(1, b"\1"))
        self.send(1, attribute(2, mode), attribute(5, threshold))

    def handle(self, packet):
        return packet.get(9, b"")


class Queue(Group):
    flags = GSO

    def __init__(self, group):
        super().__init__(QUEUE, group)
        self.send(2, attribute(1, struct.pack("!BxH", 1, 0)))
        self.send(2, attribute(2, struct.pack("!IB", WHOLE, COPY_PACKET)))
        flags = struct.pack("!I", self.flags)
        self.send(2, attribute(4, flags), attribute(5, flags))

    def handle(self, packet):
        self.send(1, attribute(2, struct.pack("!I", ACCEPT) + packet[1][:4]))
        return packet.get(10, b"")


class Pieces(Queue):
    flags = 0


SYN = 2


class Connections:
    """Those that begin from now on: who was killed before may still be sending."""

    def __init__(self):
        self.begun = set()

    def has(self, packet):
        """Whether a packet, from its IP header on, is of one of them."""
        six = packet[0] >> 4 == 6
        at = 40 if six else (packet[0] & 0xF) * 4
        addresses = packet[8:40] if six else packet[12:20]
        ends = addresses + packet[at : at + 4]
        if packet[at + 13] & SYN:
            self.begun.add(ends)
        return ends in self.begun


def main(kind, number):
    group = {"log": Log, "queue": Queue, "pieces": Pieces}[kind](int(number))
    connections = Connections()
    print(json.dumps("ready"), flush=True)
    seen = longest = 0
    while True:
        readable, _, _ = select.select([group.end, sys.stdin], [], [])
        if group.end in readable:
            for packet in map(group.handle, group.receive()):
                if connections.has(packet):
                    seen += 1
                    longest = max(longest, len(packet))
        elif not sys.stdin.readline():
            break
    print(json.dumps({"seen": seen, "longest": longest}), flush=True)


main(*sys.argv[1:])
