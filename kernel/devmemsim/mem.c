// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - memory for payload: the page pool and its memory provider
 *
 * This is all that the driver knows about device memory. A binding makes the
 * core call the queue operations at the end; the page pool that they create
 * then hands out pieces of the dma-buf instead of pages, and nothing else in
 * the driver changes.
 */
#include <net/netdev_queues.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/helpers.h>

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
	struct page_pool_params params = {
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV,
		.pool_size = cfg->ring_size,
		.nid = NUMA_NO_NODE,
		.dev = port->dev->dev.parent,
		.napi = &port->queues[idx].napi,
		.dma_dir = DMA_FROM_DEVICE,
		.max_len = PAGE_SIZE,
		.netdev = port->dev,
		.queue_idx = idx,
	};
	struct page_pool *pool;

	/* Without header split, the CPU would have to read the headers there. */
	if (cfg->hds)
		params.flags |= PP_FLAG_ALLOW_UNREADABLE_NETMEM;

	pool = page_pool_create(&params);
	if (IS_ERR(pool))
		return PTR_ERR(pool);

	*mem = (struct dms_mem) { .pool = pool };
	if (dms_mem_unreadable(mem))
		port->had_provider = true;
	return dms_buffers_prefill(mem, cfg->ring_size);
}

/**
 * dms_mem_detach() - part memory from the NAPI that used it
 * @mem: memory of a queue whose NAPI is disabled
 *
 * The NAPI may go on with other memory before this is destroyed, so buffers
 * must no longer come back to this without a lock.
 */
void dms_mem_detach(struct dms_mem *mem)
{
	page_pool_disable_direct_recycling(mem->pool);
}

/**
 * dms_mem_destroy() - destroy memory that was detached or never used
 * @mem: the memory; what user space holds of it stays until given back
 */
void dms_mem_destroy(struct dms_mem *mem)
{
	dms_buffers_free(mem);

	/*
	 * A pool that was never used still names a NAPI that runs with another
	 * one, and page_pool_destroy() would warn about that.
	 */
	WRITE_ONCE(mem->pool->p.napi, NULL);
	page_pool_destroy(mem->pool);
	memset(mem, 0, sizeof(*mem));
}

/**
 * dms_mem_unreadable() - tell whether memory comes from a memory provider
 * @mem: memory of a queue
 */
bool dms_mem_unreadable(const struct dms_mem *mem)
{
	return mem->pool->mp_priv;
}

/**
 * dms_mem_bound() - tell whether a provider is installed on any queue
 * @port: the port
 */
bool dms_mem_bound(const struct dms_port *port)
{
	unsigned int i;

	for (i = 0; i < port->cfg.queues; i++)
		if (__netif_get_rx_queue(port->dev, i)->mp_params.mp_priv)
			return true;
	return false;
}

/**
 * dms_buffer_alloc() - take a buffer from the pool
 * @mem: memory of a polled queue, or of one that does not run yet
 * @gfp: how
 *
 * Return: the buffer with one reference, 0 if there is none.
 */
netmem_ref dms_buffer_alloc(struct dms_mem *mem, gfp_t gfp)
{
	return page_pool_alloc_netmems(mem->pool, gfp);
}

/**
 * dms_buffer_get() - take one more reference
 * @netmem: the buffer
 */
void dms_buffer_get(netmem_ref netmem)
{
	page_pool_ref_netmem(netmem);
}

/**
 * dms_buffer_put() - give a reference back
 * @mem: memory that the buffer is of
 * @netmem: the buffer
 * @polled: whether the caller polls the queue
 */
void dms_buffer_put(struct dms_mem *mem, netmem_ref netmem, bool polled)
{
	page_pool_put_full_netmem(mem->pool, netmem, polled);
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
	dma_addr_t addr = page_pool_get_dma_addr_netmem(piece->netmem);

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
	skb_add_rx_frag_netmem(skb, skb_shinfo(skb)->nr_frags, piece->netmem,
			       piece->offset, len, piece->room);
	return netmem_is_net_iov(piece->netmem);
}

/**
 * dms_mem_mark() - mark a packet whose fragments go back to a page pool
 * @skb: new packet
 */
void dms_mem_mark(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

static int dms_queue_mem_alloc(struct net_device *dev,
			       DMS_QCFG_PARAM void *mem, int idx)
{
	struct dms_port *port = netdev_priv(dev);

	if (dms_fails(&dms_fail_mem_alloc))
		return -ENOMEM;
	return dms_mem_create(port, idx, &port->cfg, mem);
}

static void dms_queue_mem_free(struct net_device *dev, void *mem)
{
	dms_mem_destroy(mem);
}

static int dms_ndo_queue_start(struct net_device *dev,
			       DMS_QCFG_PARAM void *mem, int idx)
{
	struct dms_port *port = netdev_priv(dev);

	if (dms_fails(&dms_fail_start))
		return -EIO;
	dms_queue_start(&port->queues[idx], mem);
	return 0;
}

static int dms_ndo_queue_stop(struct net_device *dev, void *mem, int idx)
{
	struct dms_port *port = netdev_priv(dev);

	/* Older kernels ask even while the port is down. */
	if (!port->running)
		return -ENETDOWN;
	if (dms_fails(&dms_fail_stop))
		return -EIO;
	dms_queue_stop(&port->queues[idx], mem);
	return 0;
}

static const struct netdev_queue_mgmt_ops dms_queue_mgmt_ops = {
	.ndo_queue_mem_size	= sizeof(struct dms_mem),
	.ndo_queue_mem_alloc	= dms_queue_mem_alloc,
	.ndo_queue_mem_free	= dms_queue_mem_free,
	.ndo_queue_start	= dms_ndo_queue_start,
	.ndo_queue_stop		= dms_ndo_queue_stop,
};

/**
 * dms_mem_setup() - tell the core how to bind memory to our queues
 * @dev: network device, not yet registered
 */
void dms_mem_setup(struct net_device *dev)
{
	dev->queue_mgmt_ops = &dms_queue_mgmt_ops;
}
