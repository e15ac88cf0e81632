"""`urgent.py HOST PORT N`: sends 5000 a, then N b of which the last is urgent, then 5000 c.

Waits until the receiver ends the connection; resets it if stdin ends first.
"""

import select
import socket
import struct
import sys

host, port, count = sys.argv[1:]
connection = socket.create_connection((host, int(port)))
connection.sendall(b"a" * 5000)
urgent = b"b" * int(count)
if connection.send(urgent, socket.MSG_OOB) != len(urgent):
    sys.exit("the urgent part was not sent whole")
connection.sendall(b"c" * 5000)
connection.shutdown(socket.SHUT_WR)

while True:
    readable, _, _ = select.select([connection, sys.stdin], [], [])
    if connection in readable and not connection.recv(4096):
        break
    if sys.stdin in readable:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        break
connection.close()
