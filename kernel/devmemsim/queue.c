// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - receive queues: start, stop, and change of configuration
 */
#include <linux/slab.h>
#include <net/gro.h>

#include "devmemsim.h"

/* For packets that shall wait; a NAPI that is disabled meanwhile stays so. */
static void dms_poll_late(struct work_struct *work)
{
	struct dms_queue *q = container_of(to_delayed_work(work),
					   struct dms_queue, late);

	local_bh_disable();
	napi_schedule(&q->napi);
	local_bh_enable();
}

/**
 * dms_queues_create() - make the queues of a new port
 * @port: port whose network device is not registered yet
 */
int dms_queues_create(struct dms_port *port)
{
	struct dms_queue *q;
	unsigned int i;

	port->queues = kvcalloc(port->cfg.queues, sizeof(*q), GFP_KERNEL);
	if (!port->queues)
		return -ENOMEM;

	for (i = 0; i < port->cfg.queues; i++) {
		q = &port->queues[i];
		q->port = port;
		q->idx = i;
		skb_queue_head_init(&q->ring);
		INIT_DELAYED_WORK(&q->late, dms_poll_late);
		u64_stats_init(&q->rx_sync);
		u64_stats_init(&q->tx_sync);
		dms_napi_add(port->dev, &q->napi, dms_poll, i);
	}
	return 0;
}

/**
 * dms_queues_settle() - wait until nothing is about to poll a queue
 * @port: port that nobody transmits to any more
 */
void dms_queues_settle(struct dms_port *port)
{
	unsigned int i;

	for (i = 0; port->queues && i < port->dev->num_rx_queues; i++)
		cancel_delayed_work_sync(&port->queues[i].late);
}

/*
 * GRO may hold packets from before the queue stopped, if a flush timeout is
 * set. They must not be merged with packets in the new memory.
 */
static void dms_flush_gro(struct dms_queue *q)
{
	local_bh_disable();
	napi_gro_flush(&q->napi, false);
	local_bh_enable();
}

/**
 * dms_queue_start() - let a stopped queue receive
 * @q: the queue
 * @mem: memory for it, ours from now on
 */
void dms_queue_start(struct dms_queue *q, const struct dms_mem *mem)
{
	struct net_device *dev = q->port->dev;

	dms_flush_gro(q);
	q->mem = *mem;
	dms_link_napi(dev, q->idx, &q->napi);
	dms_napi_enable(&q->napi);

	/* Packets may have come while it was stopped. */
	local_bh_disable();
	napi_schedule(&q->napi);
	local_bh_enable();
}

/**
 * dms_queue_stop() - stop receiving; packets on the ring stay
 * @q: the queue
 * @mem: where its memory is handed back
 */
void dms_queue_stop(struct dms_queue *q, struct dms_mem *mem)
{
	struct net_device *dev = q->port->dev;

	dms_napi_disable(&q->napi);
	dms_link_napi(dev, q->idx, NULL);
	dms_mem_detach(&q->mem);
	*mem = q->mem;
	memset(&q->mem, 0, sizeof(q->mem));
}

static void dms_mems_free(struct dms_mem *mems, unsigned int count)
{
	while (count--)
		dms_mem_destroy(&mems[count]);
	kvfree(mems);
}

static struct dms_mem *dms_mems_alloc(struct dms_port *port,
				      const struct dms_config *cfg)
{
	struct dms_mem *mems;
	unsigned int i;
	int err;

	mems = kvcalloc(cfg->queues, sizeof(*mems), GFP_KERNEL);
	if (!mems)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < cfg->queues; i++) {
		err = dms_mem_create(port, i, cfg, &mems[i]);
		if (err) {
			dms_mems_free(mems, i);
			return ERR_PTR(err);
		}
	}
	return mems;
}

/* Starts all queues of the configuration and takes @mems over. */
static void dms_queues_start(struct dms_port *port, struct dms_mem *mems)
{
	unsigned int i;

	for (i = 0; i < port->cfg.queues; i++) {
		dms_queue_start(&port->queues[i], &mems[i]);
		dms_ring_open(&port->queues[i]);
	}
	kvfree(mems);
}

/**
 * dms_queues_open() - start all queues
 * @port: port that is going up
 */
int dms_queues_open(struct dms_port *port)
{
	struct dms_mem *mems = dms_mems_alloc(port, &port->cfg);

	if (IS_ERR(mems))
		return PTR_ERR(mems);
	dms_queues_start(port, mems);
	return 0;
}

/**
 * dms_queues_close() - stop all queues and drop what waits on their rings
 * @port: port whose queues run
 */
void dms_queues_close(struct dms_port *port)
{
	struct dms_mem mem;
	unsigned int i;

	for (i = 0; i < port->cfg.queues; i++) {
		dms_ring_close(&port->queues[i]);
		dms_queue_stop(&port->queues[i], &mem);
		dms_mem_destroy(&mem);
	}
}

static int dms_set_count(struct dms_port *port, unsigned int count)
{
	return netif_set_real_num_queues(port->dev, count, count);
}

/* All that can fail comes first, so a failure leaves the port as it was. */
static int dms_queues_replace(struct dms_port *port,
			      const struct dms_config *cfg)
{
	struct dms_mem *mems = dms_mems_alloc(port, cfg);

	if (IS_ERR(mems))
		return PTR_ERR(mems);

	dms_queues_close(port);
	port->cfg = *cfg;
	dms_queues_start(port, mems);
	netif_tx_wake_all_queues(port->dev);	/* new ones as well */
	return 0;
}

/**
 * dms_queues_reconfigure() - change number, ring size or header split
 * @port: the port, up or down
 * @cfg: configuration wanted
 */
int dms_queues_reconfigure(struct dms_port *port, const struct dms_config *cfg)
{
	unsigned int before = port->cfg.queues;
	int err = 0;

	if (cfg->queues > before)
		err = dms_set_count(port, cfg->queues);
	if (err)
		return err;

	if (port->running)
		err = dms_queues_replace(port, cfg);
	else
		port->cfg = *cfg;

	/* Lowering the count cannot fail. */
	if (port->dev->real_num_rx_queues > port->cfg.queues)
		dms_set_count(port, port->cfg.queues);
	return err;
}
