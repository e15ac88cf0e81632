"""`nfs_server.py HOST`: an NFS server as far as its first answer.

Accepts connections until stdin ends, and answers the first call of each: the procedure that
does nothing has done that. Prints a line of JSON once it listens, and one whenever a client
has ended a connection: how many have so far.
"""

import contextlib
import json
import socket
import struct
import sys
import threading

from peers import family_of

PORT = 2049
LAST_FRAGMENT = 1 << 31
REPLY = 1
# MSG_ACCEPTED; a verifier of AUTH_NONE, of no bytes; SUCCESS.
DONE = (0, 0, 0, 0)


def read(connection, length):
    piece = connection.recv(length, socket.MSG_WAITALL)
    if len(piece) < length:
        raise ConnectionError("the client is gone")
    return piece


def answer(connection):
    (mark,) = struct.unpack("!I", read(connection, 4))
    call = read(connection, mark & ~LAST_FRAGMENT)
    (xid,) = struct.unpack_from("!I", call)
    reply = struct.pack("!6I", xid, REPLY, *DONE)
    connection.sendall(struct.pack("!I", LAST_FRAGMENT | len(reply)) + reply)


def serve(server):
    ended = 0
    while True:
        connection, _ = server.accept()
        with connection, contextlib.suppress(ConnectionError):
            answer(connection)
            while connection.recv(1 << 16):
                pass
        ended += 1
        print(json.dumps({"ended": ended}), flush=True)


def main(host):
    with socket.create_server((host, PORT), family=family_of(host)) as server:
        print(json.dumps("ready"), flush=True)
        threading.Thread(target=serve, args=[server], daemon=True).start()
        sys.stdin.read()


main(*sys.argv[1:])
