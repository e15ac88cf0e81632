// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - statistics: of the device, by queue, and for ethtool -S
 */
#include <linux/ethtool.h>
#include <net/netdev_queues.h>

#include "devmemsim.h"

#define DMS_QUEUE_STATS	(DMS_RX_STATS + 1 + DMS_TX_STATS)

struct dms_counters {
	u64 rx[DMS_RX_STATS];
	u64 rx_ring_full;
	u64 tx[DMS_TX_STATS];
};

static const char * const dms_rx_names[DMS_RX_STATS] = {
	[DMS_RX_PACKETS]	= "packets",
	[DMS_RX_BYTES]		= "bytes",
	[DMS_RX_SPLIT_PACKETS]	= "split_packets",
	[DMS_RX_DEVICE_FRAGS]	= "device_frags",
	[DMS_RX_PAGE_FRAGS]	= "page_frags",
	[DMS_RX_POOL_EMPTY]	= "pool_empty",
	[DMS_RX_NO_MEMORY]	= "no_memory",
	[DMS_RX_LOSS_INJECTED]	= "loss_injected",
	[DMS_RX_NOT_REACHABLE]	= "not_reachable",
	[DMS_RX_CSUM_BAD]	= "csum_bad",
	[DMS_RX_CSUM_COMPLETE]	= "csum_complete",
	[DMS_RX_HEADER_OVERFLOW] = "header_overflow",
};

static const char * const dms_tx_names[DMS_TX_STATS] = {
	[DMS_TX_PACKETS]	= "packets",
	[DMS_TX_BYTES]		= "bytes",
	[DMS_TX_STOPPED]	= "stopped",
	[DMS_TX_TOO_LONG]	= "too_long",
	[DMS_TX_REFUSED]	= "refused",
	[DMS_TX_DEVICE_FRAGS]	= "device_frags",
	[DMS_TX_NO_MEMORY]	= "no_memory",
	[DMS_TX_NOT_REACHABLE]	= "not_reachable",
};

static void dms_read_stats(const struct u64_stats_sync *sync,
			   const u64_stats_t *stats, u64 *values, int count)
{
	unsigned int start;
	int i;

	do {
		start = u64_stats_fetch_begin(sync);
		for (i = 0; i < count; i++)
			values[i] = u64_stats_read(&stats[i]);
	} while (u64_stats_fetch_retry(sync, start));
}

static void dms_read_queue(const struct dms_queue *q, struct dms_counters *c)
{
	dms_read_stats(&q->rx_sync, q->rx, c->rx, DMS_RX_STATS);
	dms_read_stats(&q->tx_sync, q->tx, c->tx, DMS_TX_STATS);
	c->rx_ring_full = READ_ONCE(q->ring_full);
}

/* Queues that were taken out of use keep their counts. */
static void dms_sum_queues(const struct dms_port *port,
			   struct dms_counters *sum)
{
	struct dms_counters c;
	unsigned int i;
	int j;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < port->dev->num_rx_queues; i++) {
		dms_read_queue(&port->queues[i], &c);
		for (j = 0; j < DMS_RX_STATS; j++)
			sum->rx[j] += c.rx[j];
		for (j = 0; j < DMS_TX_STATS; j++)
			sum->tx[j] += c.tx[j];
		sum->rx_ring_full += c.rx_ring_full;
	}
}

static u64 dms_alloc_failures(const struct dms_counters *c)
{
	return c->rx[DMS_RX_POOL_EMPTY] + c->rx[DMS_RX_NO_MEMORY];
}

static u64 dms_other_rx_drops(const struct dms_counters *c)
{
	return c->rx[DMS_RX_LOSS_INJECTED] + c->rx[DMS_RX_NOT_REACHABLE] +
	       c->rx[DMS_RX_CSUM_BAD];
}

static u64 dms_tx_drops(const struct dms_counters *c)
{
	return c->tx[DMS_TX_TOO_LONG] + c->tx[DMS_TX_REFUSED] +
	       c->tx[DMS_TX_NO_MEMORY] + c->tx[DMS_TX_NOT_REACHABLE];
}

void dms_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct dms_counters sum;

	dms_sum_queues(netdev_priv(dev), &sum);
	stats->rx_packets = sum.rx[DMS_RX_PACKETS];
	stats->rx_bytes = sum.rx[DMS_RX_BYTES];
	stats->rx_dropped = dms_alloc_failures(&sum) + dms_other_rx_drops(&sum);
	stats->rx_over_errors = sum.rx_ring_full;
	stats->tx_packets = sum.tx[DMS_TX_PACKETS];
	stats->tx_bytes = sum.tx[DMS_TX_BYTES];
	stats->tx_dropped = dms_tx_drops(&sum);
}

#ifdef HAVE_STAT_OPS

static void dms_get_queue_stats_rx(struct net_device *dev, int idx,
				   struct netdev_queue_stats_rx *stats)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_counters c;

	dms_read_queue(&port->queues[idx], &c);
	stats->packets = c.rx[DMS_RX_PACKETS];
	stats->bytes = c.rx[DMS_RX_BYTES];
	stats->alloc_fail = dms_alloc_failures(&c);
	stats->hw_drops = dms_other_rx_drops(&c) + c.rx_ring_full;
	stats->hw_drop_overruns = c.rx_ring_full;
}

static void dms_get_queue_stats_tx(struct net_device *dev, int idx,
				   struct netdev_queue_stats_tx *stats)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_counters c;

	dms_read_queue(&port->queues[idx], &c);
	stats->packets = c.tx[DMS_TX_PACKETS];
	stats->bytes = c.tx[DMS_TX_BYTES];
	stats->hw_drops = dms_tx_drops(&c);
	stats->stop = c.tx[DMS_TX_STOPPED];
}

/* What queues out of use have counted; the core adds those in use. */
static void dms_get_base_stats(struct net_device *dev,
			       struct netdev_queue_stats_rx *rx,
			       struct netdev_queue_stats_tx *tx)
{
	struct netdev_queue_stats_rx one_rx;
	struct netdev_queue_stats_tx one_tx;
	unsigned int i;

	rx->packets = 0;
	rx->bytes = 0;
	rx->alloc_fail = 0;
	rx->hw_drops = 0;
	rx->hw_drop_overruns = 0;
	tx->packets = 0;
	tx->bytes = 0;
	tx->hw_drops = 0;
	tx->stop = 0;

	for (i = dev->real_num_rx_queues; i < dev->num_rx_queues; i++) {
		dms_get_queue_stats_rx(dev, i, &one_rx);
		rx->packets += one_rx.packets;
		rx->bytes += one_rx.bytes;
		rx->alloc_fail += one_rx.alloc_fail;
		rx->hw_drops += one_rx.hw_drops;
		rx->hw_drop_overruns += one_rx.hw_drop_overruns;

		dms_get_queue_stats_tx(dev, i, &one_tx);
		tx->packets += one_tx.packets;
		tx->bytes += one_tx.bytes;
		tx->hw_drops += one_tx.hw_drops;
		tx->stop += one_tx.stop;
	}
}

static const struct netdev_stat_ops dms_stat_ops = {
	.get_queue_stats_rx	= dms_get_queue_stats_rx,
	.get_queue_stats_tx	= dms_get_queue_stats_tx,
	.get_base_stats		= dms_get_base_stats,
};

/**
 * dms_stats_setup() - let the core read counters by queue
 * @dev: network device, not yet registered
 */
void dms_stats_setup(struct net_device *dev)
{
	dev->stat_ops = &dms_stat_ops;
}

#else

void dms_stats_setup(struct net_device *dev)
{
}

#endif /* HAVE_STAT_OPS */

/* ethtool -S: the sums, then each queue in use */

static unsigned int dms_stat_blocks(const struct net_device *dev)
{
	return 1 + dev->real_num_rx_queues;
}

int dms_get_sset_count(struct net_device *dev, int sset)
{
	if (sset != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return dms_stat_blocks(dev) * DMS_QUEUE_STATS;
}

static void dms_put_names(u8 **data, const char *queue)
{
	int i;

	for (i = 0; i < DMS_RX_STATS; i++)
		ethtool_sprintf(data, "rx%s_%s", queue, dms_rx_names[i]);
	ethtool_sprintf(data, "rx%s_ring_full", queue);
	for (i = 0; i < DMS_TX_STATS; i++)
		ethtool_sprintf(data, "tx%s_%s", queue, dms_tx_names[i]);
}

void dms_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	char queue[12];
	unsigned int i;

	if (sset != ETH_SS_STATS)
		return;
	dms_put_names(&data, "");
	for (i = 0; i < dev->real_num_rx_queues; i++) {
		snprintf(queue, sizeof(queue), "%u", i);
		dms_put_names(&data, queue);
	}
}

static u64 *dms_put_counters(u64 *data, const struct dms_counters *c)
{
	BUILD_BUG_ON(sizeof(*c) != DMS_QUEUE_STATS * sizeof(*data));
	memcpy(data, c, sizeof(*c));
	return data + DMS_QUEUE_STATS;
}

void dms_get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats,
			   u64 *data)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_counters c;
	unsigned int i;

	dms_sum_queues(port, &c);
	data = dms_put_counters(data, &c);
	for (i = 0; i < dev->real_num_rx_queues; i++) {
		dms_read_queue(&port->queues[i], &c);
		data = dms_put_counters(data, &c);
	}
}
