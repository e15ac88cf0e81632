/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels, and nothing else. probe.sh looks into the
 * headers and sets the HAVE_... flags; the rest of the driver is written for
 * the newest interface.
 */
#ifndef DEVMEMSIM_COMPAT_H
#define DEVMEMSIM_COMPAT_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/netdev_queues.h>
#ifndef HAVE_RX_QUEUE_DEVMEM
#include <net/page_pool/helpers.h>
#endif

/*
 * The lock that open, stop, ethtool and queue operations run under: the
 * instance lock of the device where there is one, else rtnl.
 */
#ifdef HAVE_NAPI_LOCKED

#include <net/netdev_lock.h>

#define dms_ops_dereference(p, dev)	netdev_ops_lock_dereference(p, dev)

static inline void dms_napi_enable(struct napi_struct *napi)
{
	napi_enable_locked(napi);
}

static inline void dms_napi_disable(struct napi_struct *napi)
{
	napi_disable_locked(napi);
}

static inline void dms_napi_add(struct net_device *dev,
				struct napi_struct *napi,
				int (*poll)(struct napi_struct *, int), int idx)
{
	netif_napi_add_config(dev, napi, poll, idx);
}

#else

#define dms_ops_dereference(p, dev)	((void)(dev), rtnl_dereference(p))

static inline void dms_napi_enable(struct napi_struct *napi)
{
	napi_enable(napi);
}

static inline void dms_napi_disable(struct napi_struct *napi)
{
	napi_disable(napi);
}

static inline void dms_napi_add(struct net_device *dev,
				struct napi_struct *napi,
				int (*poll)(struct napi_struct *, int), int idx)
{
	netif_napi_add(dev, napi, poll);
}

#endif

/* Header split and its threshold, as far as the core keeps them. */
#ifdef HAVE_HDS_CONFIG

#define DMS_RING_PARAMS	\
	(ETHTOOL_RING_USE_TCP_DATA_SPLIT | ETHTOOL_RING_USE_HDS_THRS)

static inline void dms_core_set_hds(struct net_device *dev, u8 split)
{
	dev->cfg->hds_config = split;
}

static inline u32 dms_ring_hds_thresh(const struct kernel_ethtool_ringparam *r)
{
	return r->hds_thresh;
}

static inline void dms_ring_set_hds_thresh(struct kernel_ethtool_ringparam *r,
					   u32 thresh, u32 max)
{
	r->hds_thresh = thresh;
	r->hds_thresh_max = max;
}

#else

#define DMS_RING_PARAMS	ETHTOOL_RING_USE_TCP_DATA_SPLIT

static inline void dms_core_set_hds(struct net_device *dev, u8 split)
{
}

static inline u32 dms_ring_hds_thresh(const struct kernel_ethtool_ringparam *r)
{
	return 0;
}

static inline void dms_ring_set_hds_thresh(struct kernel_ethtool_ringparam *r,
					   u32 thresh, u32 max)
{
}

#endif

/* The parameter that newer queue operations have between device and memory. */
#ifdef HAVE_QCFG
#define DMS_QCFG_PARAM	struct netdev_queue_config *qcfg,
#else
#define DMS_QCFG_PARAM
#endif

/* Devices that can send from device memory say so. */
#ifdef HAVE_NETMEM_TX

static inline void dms_set_netmem_tx(struct net_device *dev)
{
	dev->netmem_tx = NETMEM_TX_DMA;
}

#else

static inline void dms_set_netmem_tx(struct net_device *dev)
{
}

#endif

/* Queues tell the core which NAPI polls them. */
#ifdef HAVE_QUEUE_NAPI

static inline void dms_link_napi(struct net_device *dev, unsigned int idx,
				 struct napi_struct *napi)
{
	netif_queue_set_napi(dev, idx, NETDEV_QUEUE_TYPE_RX, napi);
	netif_queue_set_napi(dev, idx, NETDEV_QUEUE_TYPE_TX, napi);
}

#else

static inline void dms_link_napi(struct net_device *dev, unsigned int idx,
				 struct napi_struct *napi)
{
}

#endif

/*
 * Kernels with patches/linux-6.1 fill a queue from pages, of the dma-buf too,
 * and have a device operation to bind it.
 */
#ifdef HAVE_RX_QUEUE_DEVMEM
#define netmem_ref		struct page *
#define dms_pool		net_devmem_pool
#define DMS_OP_RX_QUEUE_DEVMEM	.ndo_rx_queue_devmem = dms_mem_bind,
#else
#define dms_pool		page_pool
#define DMS_OP_RX_QUEUE_DEVMEM
#endif

/* Initialisers of ethtool_ops that only some kernels have. */
#ifdef HAVE_RX_RING_COUNT
#define DMS_OP_RX_RING_COUNT	.get_rx_ring_count = dms_get_rx_ring_count,
#else
#define DMS_OP_RX_RING_COUNT
#endif

#ifdef HAVE_RXFH_CONTEXT
#define DMS_OP_RXFH_CONTEXT					\
	.rxfh_max_num_contexts	= DMS_MAX_CONTEXTS,		\
	.create_rxfh_context	= dms_create_context,		\
	.modify_rxfh_context	= dms_modify_context,		\
	.remove_rxfh_context	= dms_remove_context,
#else
#define DMS_OP_RXFH_CONTEXT
#endif

/* netif_set_real_num_queues() and ethtool_op_get_link() still want rtnl. */
#ifdef HAVE_OP_NEEDS_RTNL
#define DMS_OP_NEEDS_RTNL	\
	.op_needs_rtnl = ETHTOOL_OP_NEEDS_RTNL_SCHANNELS | \
			 ETHTOOL_OP_NEEDS_RTNL_GLINK,
#else
#define DMS_OP_NEEDS_RTNL
#endif

#endif /* DEVMEMSIM_COMPAT_H */
