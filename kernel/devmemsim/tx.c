// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - transmission: onto the ring of one of the peer's receive queues
 *
 * The packet itself stays on the ring until it is polled. So the sending
 * socket is charged for it until then, and TCP's limit on bytes below the
 * socket (TSQ) holds the sender back as it does with hardware.
 */
#include <net/dst.h>

#include "devmemsim.h"

static struct dms_queue *dms_steer(struct dms_port *port,
				   const struct dms_flow *flow, u32 hash)
{
	int queue = dms_rules_match(port, flow, hash);

	if (queue < 0)
		queue = READ_ONCE(port->rss->indir[hash % DMS_INDIR_SIZE]);
	return &port->queues[queue];
}

static void dms_ring_stop_sender(struct dms_queue *q, struct net_device *dev,
				 unsigned int txq)
{
	struct dms_port *port = netdev_priv(dev);

	netif_tx_stop_queue(netdev_get_tx_queue(dev, txq));
	__set_bit(txq, q->waiters);
	dms_tx_add(&port->queues[txq], DMS_TX_STOPPED, 1);
}

/*
 * Which ring a packet goes to is known only here, so a full ring takes the
 * packet and stops its sender: one packet too many for each transmit queue.
 * Beyond that somebody ignores the stop, and the packet is lost.
 */
static bool dms_ring_push(struct dms_queue *q, struct sk_buff *skb,
			  struct net_device *dev)
{
	unsigned int size = q->port->cfg.ring_size;
	unsigned int txq = skb_get_queue_mapping(skb);
	bool taken = false;

	spin_lock(&q->ring.lock);
	if (!q->open)
		goto out;
	if (skb_queue_len(&q->ring) >= size + DMS_MAX_QUEUES) {
		q->ring_full++;
		goto out;
	}
	__skb_queue_tail(&q->ring, skb);
	if (skb_queue_len(&q->ring) >= size)
		dms_ring_stop_sender(q, dev, txq);
	taken = true;
out:
	spin_unlock(&q->ring.lock);
	return taken;
}

/* The interrupt, so to speak. */
static void dms_ring_kick(struct dms_queue *q)
{
	unsigned long delay = dms_poll_delay(q->idx);

	if (delay)
		schedule_delayed_work(&q->late, delay);
	else
		napi_schedule(&q->napi);
}

#ifdef HAVE_NETMEM_TX

static struct sk_buff *dms_tx_readable(struct dms_port *port,
				       struct dms_queue *txq,
				       struct sk_buff *skb)
{
	unsigned int frags = skb_shinfo(skb)->nr_frags;
	int err;

	if (skb_frags_readable(skb))
		return skb;

	skb = dms_tx_fetch(port, skb, &err);
	if (skb)
		dms_tx_add(txq, DMS_TX_DEVICE_FRAGS, frags);
	else
		dms_tx_add(txq, err == -ENOMEM ? DMS_TX_NO_MEMORY :
						 DMS_TX_NOT_REACHABLE, 1);
	return skb;
}

#else

static struct sk_buff *dms_tx_readable(struct dms_port *port,
				       struct dms_queue *txq,
				       struct sk_buff *skb)
{
	return skb;
}

#endif

/**
 * dms_xmit() - take a packet from the stack
 * @skb: packet, possibly a TCP super-packet that nothing will segment
 * @dev: transmitting port
 */
netdev_tx_t dms_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_port *peer = port->peer;
	struct dms_queue *txq = &port->queues[skb_get_queue_mapping(skb)];
	unsigned int len = skb->len;
	struct dms_flow flow;
	struct dms_queue *q;
	u32 hash;

	if (!is_skb_forwardable(peer->dev, skb)) {
		dms_tx_add(txq, netif_running(peer->dev) ? DMS_TX_TOO_LONG :
							   DMS_TX_REFUSED, 1);
		goto drop;
	}

	skb = dms_tx_readable(port, txq, skb);
	if (!skb)
		return NETDEV_TX_OK;

	dms_flow_parse(skb, &flow);
	hash = dms_rss_hash(peer->rss, &flow);
	q = dms_steer(peer, &flow, hash);

	/* Nothing of the sender's namespace may be kept while it waits. */
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	skb_tx_timestamp(skb);

	*dms_cb(skb) = (struct dms_cb) {
		.hash = hash,
		.l4 = flow.l4,
		.payload_off = flow.payload_off,
		.payload_len = flow.payload_len,
	};

	if (!dms_ring_push(q, skb, dev)) {
		dms_tx_add(txq, DMS_TX_REFUSED, 1);
		goto drop;
	}
	dms_ring_kick(q);

	u64_stats_update_begin(&txq->tx_sync);
	u64_stats_inc(&txq->tx[DMS_TX_PACKETS]);
	u64_stats_add(&txq->tx[DMS_TX_BYTES], len);
	u64_stats_update_end(&txq->tx_sync);
	return NETDEV_TX_OK;

drop:
	kfree_skb(skb);
	return NETDEV_TX_OK;
}

/* Under the ring's lock. */
static void dms_take_waiters(struct dms_queue *q, unsigned long *waiters)
{
	bitmap_copy(waiters, q->waiters, DMS_MAX_QUEUES);
	bitmap_zero(q->waiters, DMS_MAX_QUEUES);
}

static void dms_wake_senders(struct dms_queue *q, const unsigned long *waiters)
{
	struct net_device *dev = q->port->peer->dev;
	unsigned int txq;

	for_each_set_bit(txq, waiters, DMS_MAX_QUEUES)
		netif_tx_wake_queue(netdev_get_tx_queue(dev, txq));
}

/**
 * dms_ring_pop() - take the oldest packet off a ring
 * @q: queue, polled by the caller
 */
struct sk_buff *dms_ring_pop(struct dms_queue *q)
{
	struct sk_buff *skb;

	spin_lock(&q->ring.lock);
	skb = __skb_dequeue(&q->ring);
	spin_unlock(&q->ring.lock);
	return skb;
}

/**
 * dms_ring_wake() - let senders go on once a ring is half empty
 * @q: queue, polled by the caller
 */
void dms_ring_wake(struct dms_queue *q)
{
	DECLARE_BITMAP(waiters, DMS_MAX_QUEUES) = { 0 };

	spin_lock(&q->ring.lock);
	if (skb_queue_len(&q->ring) <= q->port->cfg.ring_size / 2)
		dms_take_waiters(q, waiters);
	spin_unlock(&q->ring.lock);
	dms_wake_senders(q, waiters);
}

/**
 * dms_ring_open() - let a ring take packets
 * @q: its queue
 */
void dms_ring_open(struct dms_queue *q)
{
	spin_lock_bh(&q->ring.lock);
	q->open = true;
	spin_unlock_bh(&q->ring.lock);
}

/**
 * dms_ring_close() - take no more packets and drop those that wait
 * @q: its queue
 */
void dms_ring_close(struct dms_queue *q)
{
	DECLARE_BITMAP(waiters, DMS_MAX_QUEUES);
	struct sk_buff_head waiting;

	__skb_queue_head_init(&waiting);
	spin_lock_bh(&q->ring.lock);
	q->open = false;
	skb_queue_splice_init(&q->ring, &waiting);
	dms_take_waiters(q, waiters);
	spin_unlock_bh(&q->ring.lock);

	__skb_queue_purge(&waiting);
	local_bh_disable();
	dms_wake_senders(q, waiters);
	local_bh_enable();
}
