# A connection on which a completion of MSG_ZEROCOPY waits in the error queue, handed to a
# program as its descriptor 3: python3 error-queue.py NODE PROGRAM
import os
import socket
import subprocess
import sys

SO_ZEROCOPY = 60
MSG_ZEROCOPY = 0x4000000

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
connection = socket.create_connection(listener.getsockname())
peer, _ = listener.accept()
connection.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
connection.send(b"x" * 70000, MSG_ZEROCOPY)
got = 0
while got < 70000:
    got += len(peer.recv(70000))
os.dup2(connection.fileno(), 3)
os.set_inheritable(3, True)
child = subprocess.Popen(sys.argv[1:], pass_fds=[3], stdout=subprocess.PIPE, text=True)
for line in child.stdout:
    print(line, end="", flush=True)
    if line == "reading\n":
        peer.sendall(b"payload")
        peer.shutdown(socket.SHUT_WR)
sys.exit(child.wait())
