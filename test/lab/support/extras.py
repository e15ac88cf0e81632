"""`extras.py HOST errors|sums`: a datagram socket that asks for more than datagrams.

Prints a line of JSON once it is ready, and another of what it was told: with `errors` the
flags of the first one's extension (RFC 4884), with `sums` those of the first datagram, of
which some was peeked at before.
"""

import json
import select
import signal
import socket
import struct
import sys

PORT = 4321
IP_RECVERR = 11
IP_CHECKSUM = 23
IP_RECVERR_RFC4884 = 26
SO_PEEK_OFF = 42
PEEKED = 16
# In struct sock_extended_err, behind the length of what is quoted.
FLAGS = 14


def told(end, event, flags):
    """The control messages of what comes first, none of whose bytes are read."""
    waiting = select.poll()
    waiting.register(end, event)
    waiting.poll()
    return [data for _, _, data in end.recvmsg(0, 512, flags)[1]]


def errors(end):
    end.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    end.setsockopt(socket.IPPROTO_IP, IP_RECVERR_RFC4884, 1)
    yield "ready"
    yield [data[FLAGS] for data in told(end, 0, socket.MSG_ERRQUEUE)]


def sums(end):
    end.setsockopt(socket.IPPROTO_IP, IP_CHECKSUM, 1)
    end.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, PEEKED)
    yield "ready"
    messages = told(end, select.POLLIN, socket.MSG_PEEK)
    yield [struct.unpack("I", data)[0] for data in messages]


def main(host, kind):
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind((host, PORT))
    for line in {"errors": errors, "sums": sums}[kind](end):
        print(json.dumps(line), flush=True)
    # Who is still sending would be refused.
    signal.pause()


main(*sys.argv[1:])
