// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - reception: header split, and payload into the queue's memory
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

/* Payload bytes that stay beside the headers. */
static unsigned int dms_linear_len(const struct dms_port *port,
				   const struct dms_cb *cb)
{
	if (cb->payload_len <= port->cfg.hds_thresh)
		return cb->payload_len;
	return min(READ_ONCE(dms_linear_bytes), cb->payload_len);
}

/*
 * TCP and GRO join packets by making the head of one a fragment of the other,
 * if the head lies in a page, and do so even where the other fragments are
 * unreadable and have to stay the only kind. So payload beside the headers
 * goes to a head from the slab, unless that is what shall be tried.
 */
static struct sk_buff *dms_alloc_head(struct dms_queue *q, unsigned int headers,
				      unsigned int payload)
{
	unsigned int pad = NET_SKB_PAD + NET_IP_ALIGN;
	struct sk_buff *skb;

	if (!payload || READ_ONCE(dms_careless))
		return napi_alloc_skb(&q->napi, headers + payload);

	skb = alloc_skb(pad + headers + payload, GFP_ATOMIC | __GFP_NOWARN);
	if (skb)
		skb_reserve(skb, pad);
	return skb;
}

/*
 * An skb has room for MAX_SKB_FRAGS fragments. More of them, from a
 * super-packet or jumbo frame in small pieces, go to further skbs in its
 * fragment list, as they would after GRO.
 */
static struct sk_buff *dms_chain_skb(struct dms_queue *q, struct sk_buff *head,
				     struct sk_buff *last)
{
	struct sk_buff *skb = napi_alloc_skb(&q->napi, 0);

	if (!skb)
		return NULL;
	dms_mem_mark(skb);
	if (last == head)
		skb_shinfo(head)->frag_list = skb;
	else
		last->next = skb;
	return skb;
}

static void dms_account_chain(struct sk_buff *head)
{
	struct sk_buff *skb;

	skb_walk_frags(head, skb) {
		head->len += skb->len;
		head->data_len += skb->len;
		head->truesize += skb->truesize;
	}
}

static void dms_count_frag(struct dms_queue *q, bool device)
{
	dms_rx_add(q, device ? DMS_RX_DEVICE_FRAGS : DMS_RX_PAGE_FRAGS, 1);
}

/* What the DMA engine does: one piece of payload to one place. */
static int dms_write_piece(struct dms_queue *q, struct sk_buff *to,
			   const struct sk_buff *from, unsigned int off,
			   unsigned int len)
{
	unsigned int size = READ_ONCE(dms_frag_size);
	struct dms_piece piece;
	void *addr;

	len = min(len, size);
	if (dms_mem_take(&q->mem, size, &piece)) {
		dms_rx_add(q, DMS_RX_POOL_EMPTY, 1);
		return -ENOBUFS;
	}
	dms_count_frag(q, dms_piece_add(to, &piece, len));

	addr = dms_piece_address(&piece);
	if (!addr || skb_copy_bits(from, off, addr, len)) {
		dms_rx_add(q, DMS_RX_NOT_REACHABLE, 1);
		return -EFAULT;
	}
	return len;
}

static int dms_write_payload(struct dms_queue *q, struct sk_buff *to,
			     const struct sk_buff *from, unsigned int off,
			     unsigned int end)
{
	struct sk_buff *last = to;
	int len;

	while (off < end) {
		if (skb_shinfo(last)->nr_frags == MAX_SKB_FRAGS)
			last = dms_chain_skb(q, to, last);
		if (!last) {
			dms_rx_add(q, DMS_RX_NO_MEMORY, 1);
			return -ENOMEM;
		}
		len = dms_write_piece(q, last, from, off, end - off);
		if (len < 0)
			return len;
		off += len;
	}
	dms_account_chain(to);
	return 0;
}

/* Almost all senders leave the checksum to the device: nothing to verify. */
static bool dms_csum_bad(const struct sk_buff *skb)
{
	return skb->ip_summed != CHECKSUM_PARTIAL && !dms_flow_csum_ok(skb);
}

/*
 * A checksum that the sender left to the device stays open where the packet
 * could still be forwarded; nobody could ever finish it where the payload is
 * unreadable, and nothing was on a wire that could have damaged it.
 */
static void dms_set_checksum(struct sk_buff *to, const struct sk_buff *from,
			     bool bad)
{
	if (from->ip_summed == CHECKSUM_PARTIAL && skb_frags_readable(to)) {
		to->ip_summed = CHECKSUM_PARTIAL;
		to->csum_start = skb_headroom(to) +
				 skb_checksum_start_offset(from);
		to->csum_offset = from->csum_offset;
	} else {
		to->ip_summed = bad ? CHECKSUM_NONE : CHECKSUM_UNNECESSARY;
	}
}

static void dms_set_gso(struct sk_buff *to, const struct sk_buff *from,
			unsigned int payload)
{
	struct skb_shared_info *gso = skb_shinfo(to);

	if (!skb_is_gso(from))
		return;
	gso->gso_size = skb_shinfo(from)->gso_size;
	gso->gso_type = skb_shinfo(from)->gso_type;
	gso->gso_segs = DIV_ROUND_UP(payload, gso->gso_size);
}

/* Make the packet that a NIC with header split would hand up. */
static struct sk_buff *dms_split(struct dms_queue *q, struct sk_buff *from)
{
	const struct dms_cb *cb = dms_cb(from);
	unsigned int linear = dms_linear_len(q->port, cb);
	unsigned int head = cb->payload_off + linear;
	unsigned int end = cb->payload_off + cb->payload_len;
	bool bad = dms_csum_bad(from);
	struct sk_buff *skb;

	/* The stack would have to read the payload to find out for itself. */
	if (bad && dms_mem_unreadable(&q->mem) && !READ_ONCE(dms_careless)) {
		dms_rx_add(q, DMS_RX_CSUM_BAD, 1);
		return NULL;
	}

	skb = dms_alloc_head(q, cb->payload_off, linear);
	if (!skb) {
		dms_rx_add(q, DMS_RX_NO_MEMORY, 1);
		return NULL;
	}
	/* Its fragments go back to the page pool when it is freed. */
	dms_mem_mark(skb);
	skb_copy_bits(from, 0, __skb_put(skb, head), head);
	if (dms_write_payload(q, skb, from, head, end)) {
		kfree_skb(skb);
		return NULL;
	}
	dms_set_checksum(skb, from, bad);
	dms_set_gso(skb, from, cb->payload_len);
	if (end > head)
		dms_rx_add(q, DMS_RX_SPLIT_PACKETS, 1);
	return skb;
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
