// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - buffers for payload: posted in advance or not, cut into pieces
 *
 * What a buffer is, and where it comes from, is known to mem.c or mem_chunks.c.
 */
#include <linux/slab.h>

#include "devmemsim.h"

static int dms_posted_fill(struct dms_mem *mem, gfp_t gfp)
{
	struct dms_posted *posted = &mem->posted;
	netmem_ref netmem;

	while (posted->count < posted->size) {
		netmem = dms_buffer_alloc(mem, gfp);
		if (!netmem)
			return -ENOMEM;
		posted->buffers[(posted->first + posted->count++) %
				posted->size] = netmem;
	}
	return 0;
}

static netmem_ref dms_posted_pop(struct dms_posted *posted)
{
	netmem_ref netmem;

	if (!posted->count)
		return DMS_NO_BUFFER;
	netmem = posted->buffers[posted->first];
	posted->first = (posted->first + 1) % posted->size;
	posted->count--;
	return netmem;
}

/**
 * dms_buffers_prefill() - take buffers in advance, where a module parameter says so
 * @mem: new memory, which no queue uses yet; destroyed on failure
 * @size: how many buffers it has ready from then on, as far as there are any
 */
int dms_buffers_prefill(struct dms_mem *mem, unsigned int size)
{
	struct dms_posted *posted = &mem->posted;
	int err = -ENOMEM;

	if (!READ_ONCE(dms_prefill))
		return 0;

	posted->buffers = kvcalloc(size, sizeof(*posted->buffers), GFP_KERNEL);
	if (posted->buffers) {
		posted->size = size;
		err = dms_posted_fill(mem, GFP_KERNEL);
	}
	if (err)
		dms_mem_destroy(mem);
	return err;
}

/**
 * dms_buffers_free() - give all buffers back that hold no payload
 * @mem: memory that no queue uses any more
 */
void dms_buffers_free(struct dms_mem *mem)
{
	netmem_ref netmem;

	if (mem->netmem)
		dms_buffer_put(mem, mem->netmem, false);
	while ((netmem = dms_posted_pop(&mem->posted)))
		dms_buffer_put(mem, netmem, false);
	kvfree(mem->posted.buffers);
}

static int dms_mem_refill(struct dms_mem *mem)
{
	const gfp_t gfp = GFP_ATOMIC | __GFP_NOWARN;

	if (mem->posted.buffers) {
		dms_posted_fill(mem, gfp);
		mem->netmem = dms_posted_pop(&mem->posted);
	} else {
		mem->netmem = dms_buffer_alloc(mem, gfp);
	}
	mem->used = 0;
	return mem->netmem ? 0 : -ENOBUFS;
}

/**
 * dms_mem_take() - take room for one piece of payload
 * @mem: memory of the polled queue
 * @size: a power of two, at most the page size
 * @piece: the room, with a reference that belongs to the caller
 */
int dms_mem_take(struct dms_mem *mem, unsigned int size,
		 struct dms_piece *piece)
{
	/* The size may have changed since the last piece. */
	mem->used = ALIGN(mem->used, size);
	if (mem->netmem && mem->used + size > PAGE_SIZE) {
		dms_buffer_put(mem, mem->netmem, true);
		mem->netmem = DMS_NO_BUFFER;
	}
	if (!mem->netmem && dms_mem_refill(mem))
		return -ENOBUFS;

	piece->netmem = mem->netmem;
	piece->offset = mem->used;
	piece->room = size;

	/* The last piece of a buffer takes over our own reference. */
	mem->used += size;
	if (mem->used + size > PAGE_SIZE)
		mem->netmem = DMS_NO_BUFFER;
	else
		dms_buffer_get(mem->netmem);
	return 0;
}
