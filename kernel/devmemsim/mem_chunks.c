// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - memory for payload: pages, or chunks of a bound dma-buf
 *
 * The same as mem.c, for kernels with patches/linux-6.1. These have no memory
 * providers for page pools; the core hands out chunks of a dma-buf instead,
 * which are referenced and freed as pages are.
 */
#include <linux/gfp.h>
#include <linux/netdevice.h>
#include <net/devmem.h>

#include "devmemsim.h"

/**
 * dms_mem_create() - make memory for one queue
 * @port: port of the queue
 * @idx: index of the queue
 * @cfg: configuration that the memory is for
 * @mem: where it is put
 */
int dms_mem_create(struct dms_port *port, unsigned int idx,
		   const struct dms_config *cfg, struct dms_mem *mem)
{
	*mem = (struct dms_mem) { .pool = port->queues[idx].bound };
	return dms_buffers_prefill(mem, cfg->ring_size);
}

/**
 * dms_mem_detach() - part memory from the NAPI that used it
 * @mem: memory of a queue whose NAPI is disabled; nothing to do here
 */
void dms_mem_detach(struct dms_mem *mem)
{
}

/**
 * dms_mem_destroy() - destroy memory that was detached or never used
 * @mem: the memory; what user space holds of it stays until given back
 */
void dms_mem_destroy(struct dms_mem *mem)
{
	dms_buffers_free(mem);
	memset(mem, 0, sizeof(*mem));
}

/**
 * dms_mem_unreadable() - tell whether memory comes from a dma-buf
 * @mem: memory of a queue
 */
bool dms_mem_unreadable(const struct dms_mem *mem)
{
	return mem->pool;
}

/**
 * dms_mem_bound() - tell whether a dma-buf is bound to any queue
 * @port: the port
 */
bool dms_mem_bound(const struct dms_port *port)
{
	unsigned int i;

	for (i = 0; i < port->cfg.queues; i++)
		if (port->queues[i].bound)
			return true;
	return false;
}

/**
 * dms_buffer_alloc() - take a chunk of the dma-buf, or a page
 * @mem: memory of a polled queue, or of one that does not run yet
 * @gfp: how, for a page
 *
 * Return: it with one reference, NULL if there is none.
 */
struct page *dms_buffer_alloc(struct dms_mem *mem, gfp_t gfp)
{
	return mem->pool ? net_devmem_alloc_page(mem->pool) : alloc_page(gfp);
}

/**
 * dms_buffer_get() - take one more reference
 * @page: the chunk or page
 */
void dms_buffer_get(struct page *page)
{
	get_page(page);
}

/**
 * dms_buffer_put() - give a reference back
 * @mem: memory that it is of
 * @page: the chunk or page
 * @polled: whether the caller polls the queue
 */
void dms_buffer_put(struct dms_mem *mem, struct page *page, bool polled)
{
	put_page(page);
}

/**
 * dms_piece_address() - find where the CPU can write to a piece
 * @piece: taken with dms_mem_take()
 *
 * DMA addresses are physical addresses; dms_dma_is_direct() made sure.
 *
 * Return: the address, NULL if it is not in memory, as for a dma-buf of a GPU.
 */
void *dms_piece_address(const struct dms_piece *piece)
{
	dma_addr_t addr;

	if (!net_devmem_page(piece->netmem))
		return page_address(piece->netmem) + piece->offset;
	addr = net_devmem_dma_addr(piece->netmem);
	if (!pfn_valid(PHYS_PFN(addr)))
		return NULL;
	return phys_to_virt(addr) + piece->offset;
}

/**
 * dms_piece_add() - append a piece to a packet
 * @skb: the packet, gets the piece's reference
 * @piece: taken with dms_mem_take()
 * @len: bytes of payload in it
 *
 * Return: whether it is device memory.
 */
bool dms_piece_add(struct sk_buff *skb, const struct dms_piece *piece,
		   unsigned int len)
{
	bool device = net_devmem_page(piece->netmem);
	int i = skb_shinfo(skb)->nr_frags;

	if (device)
		skb_add_rx_frag_devmem(skb, i, piece->netmem, piece->offset, len,
				       piece->room);
	else
		skb_add_rx_frag(skb, i, piece->netmem, piece->offset, len,
				piece->room);
	return device;
}

/**
 * dms_mem_mark() - mark a packet whose fragments go back to a page pool
 * @skb: new packet; its fragments come from none here
 */
void dms_mem_mark(struct sk_buff *skb)
{
}

/* The same steps as newer cores take, and back where one of them fails. */
static int dms_queue_restart(struct dms_queue *q)
{
	struct dms_port *port = q->port;
	struct dms_mem mem, old;
	int err;

	if (dms_fails(&dms_fail_mem_alloc))
		return -ENOMEM;
	err = dms_mem_create(port, q->idx, &port->cfg, &mem);
	if (err)
		return err;

	if (dms_fails(&dms_fail_stop)) {
		dms_mem_destroy(&mem);
		return -EIO;
	}
	dms_queue_stop(q, &old);

	err = dms_fails(&dms_fail_start) ? -EIO : 0;
	if (err)
		swap(mem, old);
	dms_queue_start(q, &mem);
	dms_mem_destroy(&old);
	return err;
}

/* Back to pages, taken as they are needed: this cannot fail. */
static void dms_queue_unbind(struct dms_queue *q)
{
	const struct dms_mem pages = {};
	struct dms_mem mem;

	dms_queue_stop(q, &mem);
	dms_queue_start(q, &pages);
	dms_mem_destroy(&mem);
}

/**
 * dms_mem_bind() - fill a queue from a dma-buf, or from pages again
 * @dev: network device
 * @queue: index of the queue
 * @pool: of the dma-buf, NULL for pages
 * @extack: unused
 *
 * The core keeps no note of it for us: it holds until the next call, through
 * changes of the configuration and while the port is down.
 */
int dms_mem_bind(struct net_device *dev, u32 queue,
		 struct net_devmem_pool *pool, struct netlink_ext_ack *extack)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_queue *q = &port->queues[queue];
	int err;

	q->bound = pool;
	if (!port->running || queue >= port->cfg.queues)
		return 0;

	if (!pool) {
		dms_queue_unbind(q);
		return 0;
	}
	err = dms_queue_restart(q);
	if (err)
		q->bound = NULL;
	return err;
}

/**
 * dms_mem_setup() - tell the core how to bind memory to our queues
 * @dev: network device, not yet registered; it has the operation already
 */
void dms_mem_setup(struct net_device *dev)
{
}
