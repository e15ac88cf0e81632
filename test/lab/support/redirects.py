"""`redirects.py`: reads the ICMPv6 redirects that come to this machine.

Prints a line of JSON once it is ready, and at the end of stdin another: how many came, and
the bytes of a packet that the longest quoted.
"""

import json
import select
import socket
import sys

ND_REDIRECT = 137
ND_OPT_REDIRECTED_HEADER = 4
# Of type, code, checksum, reserved, target and destination; and of an option before what it quotes.
REDIRECT_BYTES = 40
OPTION_BYTES = 8


def quoted(message):
    """Bytes of a packet that a redirect has in it."""
    options = message[REDIRECT_BYTES:]
    while options:
        kind, length = options[0], 8 * options[1]
        if kind == ND_OPT_REDIRECTED_HEADER:
            return length - OPTION_BYTES
        options = options[length:]
    return 0


def main():
    end = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    print(json.dumps("ready"), flush=True)
    seen = longest = 0
    while True:
        readable, _, _ = select.select([end, sys.stdin], [], [])
        if end in readable:
            message = end.recv(1 << 16)
            if message[0] == ND_REDIRECT:
                seen += 1
                longest = max(longest, quoted(message))
        elif not sys.stdin.readline():
            break
    print(json.dumps({"seen": seen, "longest": longest}), flush=True)


main()
