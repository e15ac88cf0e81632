// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - reception: from a queue's ring to the stack
 */
#include <linux/etherdevice.h>
#include <linux/random.h>

#include "devmemsim.h"

static bool dms_lose_packet(const struct dms_cb *cb)
{
	unsigned int loss = READ_ONCE(dms_loss);

	return loss && cb->payload_len &&
	       get_random_u32_below(DMS_LOSS_UNIT) < loss;
}

/* Any other packet goes up as it is, rid of what the sender's side left. */
static struct sk_buff *dms_pass(struct dms_queue *q, struct sk_buff *skb)
{
	skb_orphan(skb);
	if (skb_orphan_frags_rx(skb, GFP_ATOMIC) ||
	    !pskb_may_pull(skb, ETH_HLEN)) {
		dms_rx_add(q, DMS_RX_NO_MEMORY, 1);
		kfree_skb(skb);
		return NULL;
	}
	skb_scrub_packet(skb, true);
	skb->priority = 0;
	return skb;
}

/*
 * GRO merges packets without asking whether one is readable and the other is
 * not. On a queue with unreadable memory, payload beside the headers would
 * give it such pairs (a short packet is all header then), so it is left out.
 */
static bool dms_may_gro(const struct dms_queue *q, const struct sk_buff *skb,
			const struct dms_cb *cb)
{
	if (!dms_mem_unreadable(&q->mem) || READ_ONCE(dms_careless))
		return true;
	return !READ_ONCE(dms_linear_bytes) &&
	       skb_headlen(skb) == cb->payload_off;
}

static void dms_deliver(struct dms_queue *q, struct sk_buff *skb,
			const struct dms_cb *cb, bool split)
{
	/* A packet that was passed may share its data with the sender. */
	bool gro = split && dms_may_gro(q, skb, cb);
	struct net_device *dev = q->port->dev;

	u64_stats_update_begin(&q->rx_sync);
	u64_stats_inc(&q->rx[DMS_RX_PACKETS]);
	u64_stats_add(&q->rx[DMS_RX_BYTES], skb->len);
	u64_stats_update_end(&q->rx_sync);

	skb->protocol = eth_type_trans(skb, dev);
	skb_record_rx_queue(skb, q->idx);
	if (dev->features & NETIF_F_RXHASH && cb->hash)
		skb_set_hash(skb, cb->hash, cb->l4 ? PKT_HASH_TYPE_L4 :
						     PKT_HASH_TYPE_L3);

	if (gro)
		napi_gro_receive(&q->napi, skb);
	else
		netif_receive_skb(skb);
}

static void dms_receive(struct dms_queue *q, struct sk_buff *skb, int budget)
{
	const struct dms_cb cb = *dms_cb(skb);
	struct sk_buff *split;

	if (dms_lose_packet(&cb)) {
		dms_rx_add(q, DMS_RX_LOSS_INJECTED, 1);
		kfree_skb(skb);
		return;
	}

	if (q->port->cfg.hds && cb.payload_off) {
		split = dms_split(q, skb);
		if (split)
			dms_deliver(q, split, &cb, true);
		napi_consume_skb(skb, budget);
		return;
	}

	skb = dms_pass(q, skb);
	if (skb)
		dms_deliver(q, skb, &cb, false);
}

/**
 * dms_poll() - receive up to @budget packets
 * @napi: NAPI of a queue
 * @budget: number of packets
 */
int dms_poll(struct napi_struct *napi, int budget)
{
	struct dms_queue *q = container_of(napi, struct dms_queue, napi);
	struct sk_buff *skb;
	int done = 0;

	while (done < budget) {
		skb = dms_ring_pop(q);
		if (!skb)
			break;
		dms_receive(q, skb, budget);
		done++;
	}

	dms_ring_wake(q);
	/* A packet that came since has marked the NAPI to be polled again. */
	if (done < budget)
		napi_complete_done(napi, done);
	return done;
}
