#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# probe.sh SRCTREE - print a -DHAVE_... flag for each kernel interface found
#
# Versions would lie: distributions and stable trees move interfaces between
# releases. The headers of the kernel that is built for tell the truth.

include=$1/include

have()
{
	flag=$1 pattern=$2 header=$3
	if grep -qw -- "$pattern" "$include/$header" 2>/dev/null; then
		printf -- '-DHAVE_%s ' "$flag"
	fi
}

# patches/linux-6.1: the core hands out chunks of dma-bufs
have RX_QUEUE_DEVMEM	ndo_rx_queue_devmem	linux/netdevice.h
# 6.8: RSS settings come in a structure
have RXFH_PARAM		ethtool_rxfh_param	linux/ethtool.h
# 6.8: queues know their NAPI
have QUEUE_NAPI		netif_queue_set_napi	linux/netdevice.h
# 6.9: counters by queue
have STAT_OPS		netdev_stat_ops		net/netdev_queues.h
# 6.15: napi_enable() takes the instance lock that queue operations run under
have NAPI_LOCKED	napi_enable_locked	linux/netdevice.h
# 6.11: the core numbers RSS contexts
have RXFH_CONTEXT	create_rxfh_context	linux/ethtool.h
# 6.14: the core stores header split and its threshold
have HDS_CONFIG		hds_config		net/netdev_queues.h
# 7.x: devices say how they send from device memory
have NETMEM_TX		netmem_tx_mode		linux/netdevice.h
# 7.x: queue operations are told the queue's configuration
have QCFG		ndo_default_qcfg	net/netdev_queues.h
# 7.x: the number of rings has its own ethtool operation
have RX_RING_COUNT	get_rx_ring_count	linux/ethtool.h
# 7.x: ethtool operations run without rtnl unless they ask for it
have OP_NEEDS_RTNL	op_needs_rtnl		linux/ethtool.h
