"""Runs a command on a terminal of its own.

What the terminal shows goes to stdout, what comes on stdin is typed. With the end of
stdin the terminal is closed. The exit status is the command's, 128+n for a signal.
"""
import os
import pty
import select
import sys

command, terminal = pty.fork()
if command == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    readable, _, _ = select.select([0, terminal], [], [])
    if terminal in readable:
        try:
            shown = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        os.write(1, shown)
    if 0 in readable:
        typed = os.read(0, 4096)
        if not typed:
            break
        os.write(terminal, typed)
os.close(terminal)
status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
sys.exit(status if status >= 0 else 128 - status)
