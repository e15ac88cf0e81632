#!/bin/sh
# Loads the software NIC and wires both of its ends: the guest's first process does it
# before the command, and as `lab-nic` whoever removed the driver (rmmod devmemsim),
# with other parameters where some are given.
set -eu

. /run/lab/settings

wire_end() {
	namespace=$1 interface=$2 address=$3 address6=$4
	# Interfaces appear in the first process's namespace, wherever this runs.
	nsenter --net=/proc/1/ns/net ip link set "$interface" netns "$namespace"
	ip -n "$namespace" address add "$address/24" dev "$interface"
	ip -n "$namespace" address add "$address6/64" dev "$interface" nodad
	ip -n "$namespace" link set "$interface" up
}

# Unquoted: one word per module parameter.
# shellcheck disable=SC2086
insmod "$LAB_DRIVER" ${*:-$LAB_DRIVER_PARAMETERS}
wire_end rx "$DEVMEM_LAB_INTERFACE" "$DEVMEM_LAB_ADDRESS" "$DEVMEM_LAB_ADDRESS6"
wire_end tx "$DEVMEM_LAB_PEER_INTERFACE" "$DEVMEM_LAB_PEER_ADDRESS" "$DEVMEM_LAB_PEER_ADDRESS6"
