"""`load_balancer.py PROTOCOL ADDRESS PORT TO_PORT`: has IPVS send on what comes for a port.

`load_balancer.py flush` has it forget all of it.
"""

import socket
import struct
import sys

IP_VS_SO_SET_ADD = 0x482
IP_VS_SO_SET_FLUSH = 0x485
IP_VS_SO_SET_ADDDEST = 0x487


def place(address, port):
    return socket.inet_aton(address) + struct.pack("!H2x", int(port))


def balance(protocol, address, port, to_port):
    """NAT, to a place of the same host."""
    number = socket.getprotobyname(protocol)
    # struct ip_vs_service_user and ip_vs_dest_user: no mark, flags, timeout or thresholds.
    service = struct.pack("=H2x8sI16sIII", number, place(address, port), 0, b"rr", 0, 0, 0)
    destination = place(address, to_port) + struct.pack("=IiII", 0, 1, 0, 0)
    end.setsockopt(socket.IPPROTO_IP, IP_VS_SO_SET_ADD, service)
    end.setsockopt(socket.IPPROTO_IP, IP_VS_SO_SET_ADDDEST, service + destination)


end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if sys.argv[1] == "flush":
    end.setsockopt(socket.IPPROTO_IP, IP_VS_SO_SET_FLUSH, b"")
else:
    balance(*sys.argv[1:])
