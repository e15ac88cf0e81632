"""`datagram_reader.py HOST [sockmap]`: reads datagrams, up to a short one.

Prints a line of JSON once it is ready, and another at the end: how many datagrams it was
refused, and how many bytes of long ones it got. With `sockmap` a BPF program passes each
first, and several come as one.
"""

import errno
import json
import select
import socket
import sys

from bpf import add_to_sockmap
from peers import family_of

PORT = 4321
SHORT = b"short"


def main(host, *how):
    end = socket.socket(family_of(host), socket.SOCK_DGRAM)
    end.bind((host, PORT))
    if "sockmap" in how:
        add_to_sockmap(end)
    print(json.dumps("ready"), flush=True)
    # Who waits in recv() may miss what a program has passed meanwhile.
    end.setblocking(False)
    refused = got = 0
    while True:
        select.select([end], [], [])
        try:
            data = end.recv(1 << 16)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno != errno.EFAULT:
                raise
            refused += 1
            continue
        got += len(data)
        if data.endswith(SHORT):
            break
    print(json.dumps({"refused": refused, "got": got - len(SHORT)}), flush=True)


main(*sys.argv[1:])
