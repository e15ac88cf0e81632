// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - transmission: payload that lies in device memory
 *
 * A NIC reads it as it sends. Here that is done first of all: what goes to
 * the ring is readable, and the sender has its memory back.
 */
#include "devmemsim.h"

static int dms_fetch_frag(struct dms_port *port, struct sk_buff *to, int idx,
			  const skb_frag_t *frag)
{
	unsigned int len = skb_frag_size(frag);
	dma_addr_t addr;
	struct page *page;

	/* DMA addresses are physical addresses; dms_dma_is_direct() made sure. */
	addr = skb_frag_dma_map(port->dev->dev.parent, frag);
	if (len > PAGE_SIZE || !pfn_valid(PHYS_PFN(addr)))
		return -EFAULT;

	page = dev_alloc_page();
	if (!page)
		return -ENOMEM;
	memcpy(page_address(page), phys_to_virt(addr), len);
	skb_add_rx_frag(to, idx, page, 0, len, PAGE_SIZE);
	return 0;
}

/* All fragments of an unreadable packet are device memory. */
static int dms_fetch_frags(struct dms_port *port, struct sk_buff *to,
			   const struct sk_buff *from)
{
	const struct skb_shared_info *shinfo = skb_shinfo(from);
	int i, err;

	for (i = 0; i < shinfo->nr_frags; i++) {
		if (!skb_frag_is_net_iov(&shinfo->frags[i]))
			return -EFAULT;
		err = dms_fetch_frag(port, to, i, &shinfo->frags[i]);
		if (err)
			return err;
	}
	return shinfo->frag_list ? -EFAULT : 0;
}

/**
 * dms_tx_fetch() - read the payload of a packet that lies in device memory
 * @port: port that sends
 * @from: the packet; it is consumed
 * @err: why there is nothing to send
 *
 * Return: the packet with its payload in pages, NULL if it cannot be had.
 */
struct sk_buff *dms_tx_fetch(struct dms_port *port, struct sk_buff *from,
			     int *err)
{
	unsigned int headroom = skb_headroom(from);
	struct sk_buff *to;

	*err = -ENOMEM;
	to = alloc_skb(headroom + skb_headlen(from), GFP_ATOMIC | __GFP_NOWARN);
	if (!to)
		goto drop;

	skb_reserve(to, headroom);
	skb_put_data(to, from->data, skb_headlen(from));
	skb_copy_header(to, from);
	to->unreadable = false;

	*err = dms_fetch_frags(port, to, from);
	if (*err)
		goto drop;

	consume_skb(from);
	return to;

drop:
	kfree_skb(to);
	kfree_skb(from);
	return NULL;
}
