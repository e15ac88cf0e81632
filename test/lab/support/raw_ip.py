"""`raw_ip.py HOST`: reads all TCP that comes to this machine by a raw IP socket.

Prints a line of JSON once it is ready, and at the end of stdin another: the packets whose
payload it was refused, and the bytes of the longest packet that it got.
"""

import errno
import json
import select
import socket
import sys

from peers import family_of

LONGEST_PACKET = 1 << 17
# Fewer bytes than the headers of any packet have.
FEW = 20


def main(host):
    end = socket.socket(family_of(host), socket.SOCK_RAW, socket.IPPROTO_TCP)
    end.bind((host, 0))
    print(json.dumps("ready"), flush=True)
    refused = longest = 0
    while True:
        readable, _, _ = select.select([end, sys.stdin], [], [])
        if end in readable:
            # That much of each can be read.
            assert len(end.recv(FEW, socket.MSG_PEEK)) == FEW
            try:
                longest = max(longest, len(end.recv(LONGEST_PACKET)))
            except OSError as error:
                if error.errno != errno.EFAULT:
                    raise
                refused += 1
        elif not sys.stdin.readline():
            break
    print(json.dumps({"seen": refused, "longest": longest}), flush=True)


main(*sys.argv[1:])
