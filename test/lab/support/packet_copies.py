"""`packet_copies.py INTERFACE COUNT`: has so many long packets kept that do not fit in its ring.

Such a packet waits in the receive queue, as it came, until somebody reads it there; nobody does.
Prints a line when it captures, and one when it has them. Ends with its stdin.
"""

import mmap
import select
import socket
import struct
import sys

SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_COPY_THRESH = 7
PACKET_VERSION = 10
TPACKET_V2 = 1
TP_STATUS_USER = 1
TP_STATUS_COPY = 2
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3

# No room for the headers of a TCP segment behind those of the ring.
FRAME = 128
BLOCK = 4096
# Longer than any packet without payload.
LONG = 200


def main(interface, count):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    end.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
    end.setsockopt(SOL_PACKET, PACKET_COPY_THRESH, 1)
    end.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("IIII", BLOCK, 1, FRAME, BLOCK // FRAME))
    ring = mmap.mmap(end.fileno(), BLOCK)
    end.bind((interface, ETH_P_ALL))
    print(flush=True)
    at, kept = 0, 0
    while kept < count:
        select.select([end], [], [])
        status, length = struct.unpack_from("II", ring, at)
        if status & TP_STATUS_USER:
            kept += length > LONG and bool(status & TP_STATUS_COPY)
            struct.pack_into("I", ring, at, 0)
            at = (at + FRAME) % BLOCK
    print(flush=True)
    sys.stdin.read()


main(sys.argv[1], int(sys.argv[2]))
