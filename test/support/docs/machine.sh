#!/bin/sh
# Makes the network and mount namespaces that it runs in a machine as the documents have
# it, without a NIC that could receive into device memory; then runs its arguments there.
set -e
ip link set lo up
ip link add eth1 numrxqueues 16 numtxqueues 16 type veth peer name peer1
ip address add 192.0.2.1/24 dev eth1
ip link set eth1 up
ip link set peer1 up

# What commands may write to, and what this machine may lack.
mount -t tmpfs none /run
mkdir /run/devmem-tcp
mount -t tmpfs none /proc/sys/vm
: >/proc/sys/vm/nr_hugepages
mount -t tmpfs none /sys/kernel/mm
mkdir -p /sys/kernel/mm/hugepages/hugepages-1048576kB
mount -t tmpfs none /sys/module
mkdir -p /sys/module/udmabuf/parameters
echo 64 >/sys/module/udmabuf/parameters/size_limit_mb
echo 1024 >/sys/module/udmabuf/parameters/list_limit
{ cat /etc/group; echo receivers:x:4242:; } >/run/group
mount --bind /run/group /etc/group

exec "$@"
