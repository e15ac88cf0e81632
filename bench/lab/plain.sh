#!/bin/sh
# In the guest, without the software NIC: an ordinary TCP stream between two network
# namespaces, in packets of the MTU and in super-packets. Prints a line for each stream,
# the kind of its packets and what recv (bench/host/recv.c) says of it.
#
#   plain.sh SOURCE RECV MIB ROUNDS
set -e
source=$1 recv=$2 bytes=$(($3 * 1048576)) rounds=$4

ip netns add far
ip link add near type veth peer name beyond netns far
ip address add 192.0.2.1/24 dev near
ip link set near up
ip netns exec far ip address add 192.0.2.2/24 dev beyond
ip netns exec far ip link set beyond up

# The server ends with its standard input.
mkfifo /tmp/open
ip netns exec far "$source" 192.0.2.2 </tmp/open >/tmp/port &
exec 3>/tmp/open
until [ -s /tmp/port ]; do sleep 0.1; done

for kind in mtu super; do
	switch=on
	[ $kind = mtu ] && switch=off
	ip netns exec far ethtool -K beyond tso $switch gso $switch >/dev/null
	round=0
	while [ $round -le "$rounds" ]; do
		line=$("$recv" 192.0.2.2 "$(cat /tmp/port)" "$bytes" 1 65536)
		# The first stream is for the caches.
		[ $round -eq 0 ] || echo "$kind $line"
		round=$((round + 1))
	done
done
exec 3>&-
wait
