// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - header split: headers here, payload into the queue's memory
 */
#include "devmemsim.h"

/**
 * struct dms_cut - where the bytes of a packet go
 * @linear: bytes of payload beside the headers
 * @head: bytes beside each other: headers, or what of them there is room for,
 *	and @linear
 * @end: where the payload ends; what is between goes to the queue's memory
 * @padding: zeroes behind it
 */
struct dms_cut {
	unsigned int linear;
	unsigned int head;
	unsigned int end;
	unsigned int padding;
};

/* Payload bytes that stay beside the headers. */
static unsigned int dms_linear_len(const struct dms_port *port,
				   const struct dms_cb *cb)
{
	if (cb->payload_len <= max(port->cfg.hds_thresh,
				   READ_ONCE(dms_copybreak)))
		return cb->payload_len;
	return min(READ_ONCE(dms_linear_bytes), cb->payload_len);
}

static struct dms_cut dms_cut_packet(struct dms_queue *q,
				     const struct sk_buff *from,
				     const struct dms_cb *cb)
{
	struct dms_cut cut = { .end = cb->payload_off + cb->payload_len };
	unsigned int room = READ_ONCE(dms_header_room);

	if (cb->payload_off > room) {
		cut.head = room;
		dms_rx_add(q, DMS_RX_HEADER_OVERFLOW, 1);
	} else {
		cut.linear = dms_linear_len(q->port, cb);
		cut.head = cb->payload_off + cut.linear;
	}
	/* Behind a packet without payload as well, and segments alone. */
	if ((cut.head < cut.end || !cut.linear) && !skb_is_gso(from))
		cut.padding = READ_ONCE(dms_padding);
	return cut;
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

/* Bytes of the packet from @off on, zeroes behind its @end. */
static int dms_copy_bytes(const struct sk_buff *from, unsigned int off,
			  unsigned int end, void *to, unsigned int len)
{
	unsigned int bytes = off < end ? min(len, end - off) : 0;

	memset(to + bytes, 0, len - bytes);
	return skb_copy_bits(from, off, to, bytes);
}

/* What the DMA engine does: one piece of payload to one place. */
static int dms_write_piece(struct dms_queue *q, struct sk_buff *to,
			   const struct sk_buff *from, unsigned int off,
			   const struct dms_cut *cut)
{
	unsigned int size = READ_ONCE(dms_frag_size);
	unsigned int len = min(cut->end + cut->padding - off, size);
	struct dms_piece piece;
	void *addr;

	if (dms_mem_take(&q->mem, size, &piece)) {
		dms_rx_add(q, DMS_RX_POOL_EMPTY, 1);
		return -ENOBUFS;
	}
	dms_count_frag(q, dms_piece_add(to, &piece, len));

	addr = dms_piece_address(&piece);
	if (!addr || dms_copy_bytes(from, off, cut->end, addr, len)) {
		dms_rx_add(q, DMS_RX_NOT_REACHABLE, 1);
		return -EFAULT;
	}
	return len;
}

static int dms_write_payload(struct dms_queue *q, struct sk_buff *to,
			     const struct sk_buff *from,
			     const struct dms_cut *cut)
{
	unsigned int off = cut->head;
	struct sk_buff *last = to;
	int len;

	while (off < cut->end + cut->padding) {
		if (skb_shinfo(last)->nr_frags == MAX_SKB_FRAGS)
			last = dms_chain_skb(q, to, last);
		if (!last) {
			dms_rx_add(q, DMS_RX_NO_MEMORY, 1);
			return -ENOMEM;
		}
		len = dms_write_piece(q, last, from, off, cut);
		if (len < 0)
			return len;
		off += len;
	}
	dms_account_chain(to);
	return 0;
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

static struct sk_buff *dms_build(struct dms_queue *q, struct sk_buff *from,
				 enum dms_csum verdict)
{
	const struct dms_cb *cb = dms_cb(from);
	struct dms_cut cut = dms_cut_packet(q, from, cb);
	struct sk_buff *skb;

	skb = dms_alloc_head(q, cb->payload_off, cut.linear);
	if (!skb) {
		dms_rx_add(q, DMS_RX_NO_MEMORY, 1);
		return NULL;
	}
	/* Its fragments go back to the page pool when it is freed. */
	dms_mem_mark(skb);
	skb_copy_bits(from, 0, __skb_put(skb, cut.head), cut.head);
	if (dms_write_payload(q, skb, from, &cut)) {
		kfree_skb(skb);
		return NULL;
	}
	dms_csum_set(q, skb, from, verdict);
	dms_set_gso(skb, from, cb->payload_len);
	if (cut.end > cut.head)
		dms_rx_add(q, DMS_RX_SPLIT_PACKETS, 1);
	return skb;
}

/**
 * dms_split() - make the packet that a NIC with header split would hand up
 * @q: queue that it came on
 * @from: the packet as it was sent, of a kind that can be split
 *
 * Return: the packet, NULL if it is dropped.
 */
struct sk_buff *dms_split(struct dms_queue *q, struct sk_buff *from)
{
	enum dms_csum verdict = dms_csum_verify(from);

	if (verdict == DMS_CSUM_SUMMED && dms_csum_finish(from)) {
		dms_rx_add(q, DMS_RX_NO_MEMORY, 1);
		return NULL;
	}
	/* The stack would have to read the payload to find out for itself. */
	if (verdict == DMS_CSUM_BAD && dms_mem_unreadable(&q->mem) &&
	    !READ_ONCE(dms_careless)) {
		dms_rx_add(q, DMS_RX_CSUM_BAD, 1);
		return NULL;
	}
	return dms_build(q, from, verdict);
}
