"""Sends descriptors whose close(2) waits, until told not to.

    stranger.py KIND SOCKET PID CHUNKS [COUNT]

Process PID receives. Connects to a Unix-domain socket COUNT times (default 1) and sends the chunks, a JSON list
of [bytes in hex, how many descriptors go with them], each time with a descriptor of its own:

linger  a TCP connection with data that its peer does not read, and SO_LINGER for an hour
fuse    a file of a FUSE file system that answers nothing once the file is open

PID is stopped meanwhile: the descriptor that it gets must be the last one, or else its
closing is not the one that waits.

Prints 'sent', and waits for the end of its input; then closing goes on.
"""
import array
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time

HOUR = 3600
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Linger:
    """The peer reads what is left when told to let go."""

    def __init__(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        self.end = socket.socket()
        self.end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.end.connect(listener.getsockname())
        self.peer, _ = listener.accept()
        self.end.setblocking(False)
        try:
            while True:
                self.end.send(bytes(65536))
        except BlockingIOError:
            pass
        self.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, HOUR))

    def fileno(self):
        return self.end.fileno()

    def sent(self):
        # Not the last one: the descriptor is on its way.
        self.end.close()

    def let_go(self):
        while self.peer.recv(65536):
            pass


class Fuse:
    """A file of a file system whose server answers nothing once the file is open.

    The server is a process of its own, which has no file of it open: its end, which is that
    of its input, is the end of all waiting.
    """

    LOOKUP, GETATTR, OPEN, INIT = 1, 3, 14, 26
    FORGET, BATCH_FORGET = 2, 42
    ENOSYS = 38
    FILE = 2

    def __init__(self):
        self.device = os.open('/dev/fuse', os.O_RDWR)
        place = tempfile.mkdtemp()
        options = f'fd={self.device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}'
        if libc.mount(b'silent', place.encode(), b'fuse', 0, options.encode()) < 0:
            raise OSError(ctypes.get_errno(), 'mount')
        if os.fork() != 0:
            self.serve()
        os.close(self.device)
        self.file = os.open(f'{place}/file', os.O_RDWR)

    def serve(self):
        silent = False
        while True:
            readable, _, _ = select.select([self.device, sys.stdin], [], [])
            if sys.stdin in readable:
                os._exit(0)
            request = os.read(self.device, 1 << 20)
            _, opcode, unique, node = struct.unpack_from('<IIQQ', request)
            if silent or opcode in (self.FORGET, self.BATCH_FORGET):
                continue
            error, body = self.answer(opcode, node)
            os.write(self.device, struct.pack('<IiQ', 16 + len(body), -error, unique) + body)
            silent = opcode == self.OPEN

    def answer(self, opcode, node):
        if opcode == self.INIT:
            return 0, struct.pack('<IIIIHHIIHH32x', 7, 31, 65536, 0, 1, 1, 65536, 1, 0, 0)
        if opcode == self.LOOKUP:
            return 0, struct.pack('<QQQQII', self.FILE, 0, 0, 0, 0, 0) + self.attributes(self.FILE)
        if opcode == self.GETATTR:
            return 0, struct.pack('<QII', 0, 0, 0) + self.attributes(node)
        if opcode == self.OPEN:
            return 0, struct.pack('<QII', 1, 0, 0)
        return self.ENOSYS, b''

    def attributes(self, node):
        mode = 0o100666 if node == self.FILE else 0o40777
        return struct.pack(
            '<QQQQQQIIIIIIIIII', node, 4096, 8, 0, 0, 0, 0, 0, 0,
            mode, 1, os.getuid(), os.getgid(), 0, 4096, 0)

    def fileno(self):
        return self.file

    def sent(self):
        pass  # closing it here would wait, too

    def let_go(self):
        pass  # its server does


KINDS = {'linger': Linger, 'fuse': Fuse}


def send(connection, chunks, fd):
    for data, count in chunks:
        fds = array.array('i', [fd] * count)
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if count else []
        try:
            connection.sendmsg([bytes.fromhex(data)], control)
        except (BrokenPipeError, ConnectionResetError):
            return  # hung up on before it came to this


def is_stopped(pid):
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/stat') as stat:
            if stat.read().rpartition(')')[2].split()[0] not in 'TtZX':
                return False
    return True


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        while not is_stopped(pid):
            time.sleep(0.001)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# A test that failed tells nobody to let go.
libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
kind, place, receiver, chunks, *count = sys.argv[1:]
strangers = [KINDS[kind]() for _ in range(int(count[0]) if count else 1)]
connections = []
with stopped(int(receiver)):
    for held in strangers:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(place)
        send(connection, json.loads(chunks), held.fileno())
        held.sent()
        connections.append(connection)
print('sent', flush=True)
sys.stdin.read()
for held in strangers:
    held.let_go()
