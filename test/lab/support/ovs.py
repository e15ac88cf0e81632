"""`ovs.py INTERFACE [PORT]`: makes an interface a port of an Open vSwitch that knows no flow.

Every packet is an upcall then. Prints a line of JSON once it is ready. At the end of
stdin, when the switch is gone again, it prints another: the upcalls that came, the bytes
of the longest packet among them, and how many the kernel could not send.

With PORT it knows one flow: SCTP goes to the switch's own device, and to that port.
"""

import json
import select
import socket
import struct
import sys

from devmem import Netdev
from netlink import attribute, attributes, number

NLM_F_ACK = 4
NLMSG_ERROR = 2
NEW, DELETE, GET = 1, 2, 3
MISS = 1
DP_NAME, DP_UPCALL_PID, DP_STATS, DP_USER_FEATURES = 1, 2, 3, 5
VPORT_TYPE, VPORT_NAME, VPORT_UPCALL_PID = 2, 3, 5
PACKET = 1
FLOW_KEY, FLOW_ACTIONS, FLOW_MASK = 1, 2, 7
KEY_IN_PORT, KEY_ETHERNET, KEY_ETHERTYPE, KEY_IPV4, KEY_SCTP = 3, 4, 6, 7, 17
OUTPUT, SET_MASKED = 1, 11
ALL = 0xFFFFFFFF
ETHERTYPE_IPV4 = 0x0800
# The switch's own device, and the port that is made first.
OWN, FIRST = 0, 1
# Messages share the fragments of packets; their last attribute is not padded.
UNALIGNED = 1
NETDEV = 1
SWITCH = b"switch\0"


class Family:
    def __init__(self, name):
        netdev = Netdev(name)
        self.end = netdev.end
        self.id = netdev.family

    def ask(self, command, switch, *content):
        """The attributes of the answer, if there is one beside the acknowledgement."""
        body = struct.pack("BBHI", command, 1, 0, switch) + b"".join(content)
        header = struct.pack("IHHII", 16 + len(body), self.id, 1 | NLM_F_ACK, 0, 0)
        self.end.send(header + body)
        answer = {}
        while True:
            data = self.end.recv(1 << 16)
            kind = struct.unpack_from("H", data, 4)[0]
            if kind != NLMSG_ERROR:
                answer = dict(attributes(data[24:]))
                continue
            error = -struct.unpack_from("i", data, 16)[0]
            if error != 0:
                raise OSError(error, f"Open vSwitch, command {command}")
            return answer


class Switch:
    def __init__(self, interface):
        self.upcalls = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.upcalls.bind((0, 0))
        port = self.upcalls.getsockname()[0]
        self.switches = Family("ovs_datapath")
        content = number(DP_UPCALL_PID, port) + number(DP_USER_FEATURES, UNALIGNED)
        self.switches.ask(NEW, 0, attribute(DP_NAME, SWITCH), content)
        self.index = socket.if_nametoindex(SWITCH[:-1].decode())
        content = number(VPORT_TYPE, NETDEV) + attribute(VPORT_NAME, interface.encode() + b"\0")
        Family("ovs_vport").ask(NEW, self.index, content, number(VPORT_UPCALL_PID, port))

    def send_on(self, port):
        """Has SCTP sent on to a port."""
        masked = attribute(KEY_SCTP, struct.pack("!HHHH", 0, port, 0, 0xFFFF))
        actions = attribute(SET_MASKED, masked)
        Family("ovs_flow").ask(
            *(NEW, self.index),
            attribute(FLOW_KEY, flow(FIRST, ETHERTYPE_IPV4, socket.IPPROTO_SCTP)),
            attribute(FLOW_MASK, flow(ALL, 0xFFFF, 0xFF)),
            attribute(FLOW_ACTIONS, actions + number(OUTPUT, OWN)),
        )

    def packet(self):
        """The packet of the next upcall."""
        return dict(attributes(self.upcalls.recv(1 << 18)[24:]))[PACKET]

    def lost(self):
        stats = self.switches.ask(GET, self.index)[DP_STATS]
        return struct.unpack_from("QQQ", stats)[2]

    def delete(self):
        self.switches.ask(DELETE, self.index)


def flow(port, ethertype, protocol):
    """Packets, or which parts of them matter, beside the addresses, which do not."""
    ipv4 = struct.pack("8xB3x", protocol)
    return (
        number(KEY_IN_PORT, port)
        + attribute(KEY_ETHERNET, bytes(12))
        + attribute(KEY_ETHERTYPE, struct.pack("!H", ethertype))
        + attribute(KEY_IPV4, ipv4)
        + attribute(KEY_SCTP, bytes(4))
    )


def main(interface, *port):
    switch = Switch(interface)
    try:
        if port:
            switch.send_on(*map(int, port))
        print(json.dumps("ready"), flush=True)
        seen = longest = 0
        while True:
            readable, _, _ = select.select([switch.upcalls, sys.stdin], [], [])
            if switch.upcalls in readable:
                seen += 1
                longest = max(longest, len(switch.packet()))
            elif not sys.stdin.readline():
                break
        lost = switch.lost()
    finally:
        switch.delete()
    print(json.dumps({"seen": seen, "longest": longest, "lost": lost}), flush=True)


main(*sys.argv[1:])
