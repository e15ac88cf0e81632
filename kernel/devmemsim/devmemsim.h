/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devmemsim - a pair of software NICs that can receive into device memory
 *
 * A packet's life: dms_xmit() of one port (tx.c) parses the headers (flow.c),
 * picks a queue of the other port (ntuple.c, then RSS in flow.c) and puts the
 * packet on that queue's ring. dms_poll() (rx.c) takes it off, splits headers
 * from payload (split.c) and copies the payload into the queue's memory
 * (buffers.c, mem.c), as the DMA engine of a NIC would.
 */
#ifndef DEVMEMSIM_H
#define DEVMEMSIM_H

#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/u64_stats_sync.h>
#include <linux/workqueue.h>

#include "compat.h"

#define DMS_NAME		"devmemsim"
#define DMS_MAX_QUEUES		256
#define DMS_MAX_RULES		128
#define DMS_INDIR_SIZE		128
#define DMS_MAX_CONTEXTS	8	/* RSS contexts, the default one included */
#define DMS_RSS_KEY_SIZE	40
#define DMS_RSS_INPUT_SIZE	36	/* two IPv6 addresses and two ports */
#define DMS_MIN_RING		16
#define DMS_DEFAULT_RING	512
#define DMS_MAX_RING		16384	/* the largest page pool */
#define DMS_MAX_HDS_THRESH	1024	/* bytes */
#define DMS_MIN_FRAG		256	/* bytes */
#define DMS_MIN_HEADER_ROOM	64	/* bytes: all that the driver looks at */
#define DMS_MAX_HEADER_ROOM	256	/* bytes: all that there can be */
#define DMS_MAX_PADDING		64	/* bytes */
#define DMS_MAX_POLL_DELAY	1000	/* milliseconds */
#define DMS_LOSS_UNIT		10000

/* Payload is copied through the kernel's linear mapping of all memory. */
#ifndef CONFIG_64BIT
#error "devmemsim needs a 64-bit kernel"
#endif

/**
 * struct dms_flow - what the headers of a packet say
 * @src: source address; an IPv4 address is in the first word
 * @dst: destination address
 * @sport: source port, 0 if there is none
 * @dport: destination port
 * @l3: ETH_P_IP, ETH_P_IPV6 or 0, host byte order
 * @l4: IPPROTO_TCP or IPPROTO_UDP with ports known, else 0
 * @l4_off: where the TCP or UDP header begins
 * @payload_off: where the payload begins, 0 if the packet cannot be split
 * @payload_len: bytes of payload
 */
struct dms_flow {
	__be32 src[4];
	__be32 dst[4];
	__be16 sport;
	__be16 dport;
	u16 l3;
	u8 l4;
	u16 l4_off;
	u16 payload_off;
	u32 payload_len;
};

/* What the transmitting side found out, kept in skb->cb while on the ring. */
struct dms_cb {
	u32 hash;
	u32 payload_len;
	u16 payload_off;
	bool l4;
};

static inline struct dms_cb *dms_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct dms_cb) > sizeof(skb->cb));
	return (struct dms_cb *)skb->cb;
}

/**
 * enum dms_csum - what a NIC finds out about the checksum of a packet
 * @DMS_CSUM_GOOD: right, or left to the device by the sender
 * @DMS_CSUM_BAD: wrong
 * @DMS_CSUM_UNKNOWN: of a protocol that is not verified, or of a fragment
 * @DMS_CSUM_SUMMED: it sums the packet up in place of verifying it
 */
enum dms_csum {
	DMS_CSUM_GOOD,
	DMS_CSUM_BAD,
	DMS_CSUM_UNKNOWN,
	DMS_CSUM_SUMMED,
};

#define DMS_NO_BUFFER		((netmem_ref)0)

/**
 * struct dms_posted - buffers that wait for payload, as on the ring of a NIC
 * @buffers: the buffers, NULL where they are taken only when payload comes
 * @size: how many there are places for
 * @first: place of the one that is used next
 * @count: how many are there
 */
struct dms_posted {
	netmem_ref *buffers;
	unsigned int size;
	unsigned int first;
	unsigned int count;
};

/**
 * struct dms_mem - memory that a receive queue puts payload into
 * @pool: where buffers come from: page pool, backed by pages or by a memory
 *	provider; on 6.1 the dma-buf bound to the queue, NULL for pages
 * @posted: buffers taken from there in advance
 * @netmem: partly used buffer if there is one; we hold one reference
 * @used: bytes of @netmem that are given out
 */
struct dms_mem {
	struct dms_pool *pool;
	struct dms_posted posted;
	netmem_ref netmem;
	unsigned int used;
};

/* A place for one piece of payload. */
struct dms_piece {
	netmem_ref netmem;
	unsigned int offset;
	unsigned int room;
};

enum dms_rx_stat {
	DMS_RX_PACKETS,
	DMS_RX_BYTES,
	DMS_RX_SPLIT_PACKETS,
	DMS_RX_DEVICE_FRAGS,
	DMS_RX_PAGE_FRAGS,
	DMS_RX_POOL_EMPTY,
	DMS_RX_NO_MEMORY,
	DMS_RX_LOSS_INJECTED,
	DMS_RX_NOT_REACHABLE,
	DMS_RX_CSUM_BAD,
	DMS_RX_CSUM_COMPLETE,
	DMS_RX_HEADER_OVERFLOW,
	DMS_RX_STATS
};

enum dms_tx_stat {
	DMS_TX_PACKETS,
	DMS_TX_BYTES,
	DMS_TX_STOPPED,
	DMS_TX_TOO_LONG,
	DMS_TX_REFUSED,
	DMS_TX_DEVICE_FRAGS,
	DMS_TX_NO_MEMORY,
	DMS_TX_NOT_REACHABLE,
	DMS_TX_STATS
};

/**
 * struct dms_queue - a receive queue, and the transmit queue of the same index
 * @port: port that the queue belongs to
 * @idx: index in that port
 * @napi: polls @ring
 * @late: has @ring polled later, if packets shall wait
 * @mem: memory for payload, valid while the queue runs
 * @bound: dma-buf bound to the queue, where the core does not keep it
 * @ring: packets that the peer sent here; its lock guards the next three
 * @open: takes packets
 * @waiters: transmit queues of the peer that stopped because @ring is full
 * @ring_full: packets dropped because their sender did not stop
 * @rx_sync: for @rx, written by the poll function
 * @tx_sync: for @tx, written by the transmit function under its queue's lock
 */
struct dms_queue {
	struct dms_port *port;
	unsigned int idx;
	struct napi_struct napi;
	struct delayed_work late;
	struct dms_mem mem;
	struct net_devmem_pool *bound;

	struct sk_buff_head ring ____cacheline_aligned_in_smp;
	bool open;
	DECLARE_BITMAP(waiters, DMS_MAX_QUEUES);
	u64 ring_full;

	struct u64_stats_sync rx_sync ____cacheline_aligned_in_smp;
	u64_stats_t rx[DMS_RX_STATS];

	struct u64_stats_sync tx_sync ____cacheline_aligned_in_smp;
	u64_stats_t tx[DMS_TX_STATS];
};

struct dms_config {
	unsigned int queues;
	unsigned int ring_size;		/* packets */
	unsigned int hds_thresh;	/* bytes */
	bool hds;			/* tcp-data-split */
};

/**
 * struct dms_rss - spreading of flows that no rule steers
 * @indir: queue by the low bits of the hash
 * @key: Toeplitz key
 * @table: what each value of each input byte adds to the hash under @key
 * @contexts: bits of the RSS contexts that exist beside the default one
 * @context: queue by the low bits of the hash, for each of those
 */
struct dms_rss {
	u32 indir[DMS_INDIR_SIZE];
	u8 key[DMS_RSS_KEY_SIZE];
	u32 table[DMS_RSS_INPUT_SIZE][256];
	unsigned long contexts;
	u32 context[DMS_MAX_CONTEXTS][DMS_INDIR_SIZE];
};

struct dms_rule;
struct net_devmem_pool;

struct dms_port {
	struct net_device *dev;
	struct dms_port *peer;
	struct dms_config cfg;
	bool running;			/* between open and stop */
	bool had_provider;		/* unbinding may outlive the port */
	struct dms_queue *queues;
	struct dms_rss *rss;
	unsigned int rule_count;
	struct dms_rule __rcu *rules[DMS_MAX_RULES];
};

/* params.c */
extern unsigned int dms_loss;
extern unsigned int dms_linear_bytes;
extern unsigned int dms_frag_size;
extern unsigned int dms_copybreak;
extern unsigned int dms_header_room;
extern unsigned int dms_padding;
extern unsigned int dms_fail_mem_alloc;
extern unsigned int dms_fail_start;
extern unsigned int dms_fail_stop;
extern bool dms_dst_only;
extern bool dms_ipv4_only;
extern bool dms_careless;
extern bool dms_prefill;
extern bool dms_csum_complete;
extern bool dms_split_all;
struct dms_config dms_initial_config(void);
unsigned long dms_poll_delay(unsigned int queue);
bool dms_fails(unsigned int *countdown);

/* netdev.c */
struct net_device *dms_netdev_create(struct device *parent, const char *name,
				     const struct dms_config *cfg);
void dms_netdev_free(struct net_device *dev);

/* flow.c */
void dms_flow_parse(const struct sk_buff *skb, struct dms_flow *flow);
bool dms_flow_csum_known(const struct sk_buff *skb, bool *ok);
void dms_rss_set_key(struct dms_rss *rss, const u8 *key);
void dms_rss_spread(struct dms_rss *rss, unsigned int queues);
u32 dms_rss_hash(const struct dms_rss *rss, const struct dms_flow *flow);

/* context.c */
struct ethtool_rxfh_context;
struct ethtool_rxfh_param;
bool dms_context_exists(const struct dms_rss *rss, u32 context);
int dms_create_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
		       const struct ethtool_rxfh_param *rxfh,
		       struct netlink_ext_ack *extack);
int dms_modify_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
		       const struct ethtool_rxfh_param *rxfh,
		       struct netlink_ext_ack *extack);
int dms_remove_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
		       u32 context, struct netlink_ext_ack *extack);

/* ntuple.c */
int dms_rules_match(const struct dms_port *port, const struct dms_flow *flow,
		    u32 hash);
bool dms_rules_use_context(const struct dms_port *port, u32 context);
void dms_rules_free(struct dms_port *port);
int dms_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc, u32 *locs);
int dms_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc);

/* tx.c */
netdev_tx_t dms_xmit(struct sk_buff *skb, struct net_device *dev);
struct sk_buff *dms_ring_pop(struct dms_queue *q);
void dms_ring_wake(struct dms_queue *q);
void dms_ring_open(struct dms_queue *q);
void dms_ring_close(struct dms_queue *q);

/* tx_memory.c, on kernels that send from device memory */
struct sk_buff *dms_tx_fetch(struct dms_port *port, struct sk_buff *from,
			     int *err);

/* rx.c */
int dms_poll(struct napi_struct *napi, int budget);

/* split.c */
struct sk_buff *dms_split(struct dms_queue *q, struct sk_buff *from);

/* checksum.c */
int dms_csum_finish(struct sk_buff *skb);
enum dms_csum dms_csum_verify(const struct sk_buff *skb);
void dms_csum_set(struct dms_queue *q, struct sk_buff *to,
		  struct sk_buff *from, enum dms_csum verdict);

/* buffers.c */
int dms_mem_take(struct dms_mem *mem, unsigned int size,
		 struct dms_piece *piece);
int dms_buffers_prefill(struct dms_mem *mem, unsigned int size);
void dms_buffers_free(struct dms_mem *mem);

/* queue.c */
int dms_queues_create(struct dms_port *port);
void dms_queues_settle(struct dms_port *port);
int dms_queues_open(struct dms_port *port);
void dms_queues_close(struct dms_port *port);
int dms_queues_reconfigure(struct dms_port *port, const struct dms_config *cfg);
void dms_queue_start(struct dms_queue *q, const struct dms_mem *mem);
void dms_queue_stop(struct dms_queue *q, struct dms_mem *mem);

/* mem.c, or mem_chunks.c on kernels without memory providers */
void dms_mem_setup(struct net_device *dev);
int dms_mem_create(struct dms_port *port, unsigned int idx,
		   const struct dms_config *cfg, struct dms_mem *mem);
void dms_mem_detach(struct dms_mem *mem);
void dms_mem_destroy(struct dms_mem *mem);
bool dms_mem_unreadable(const struct dms_mem *mem);
bool dms_mem_bound(const struct dms_port *port);
netmem_ref dms_buffer_alloc(struct dms_mem *mem, gfp_t gfp);
void dms_buffer_get(netmem_ref netmem);
void dms_buffer_put(struct dms_mem *mem, netmem_ref netmem, bool polled);
void *dms_piece_address(const struct dms_piece *piece);
bool dms_piece_add(struct sk_buff *skb, const struct dms_piece *piece,
		   unsigned int len);
void dms_mem_mark(struct sk_buff *skb);
int dms_mem_bind(struct net_device *dev, u32 queue,
		 struct net_devmem_pool *pool, struct netlink_ext_ack *extack);

/* ethtool.c */
extern const struct ethtool_ops dms_ethtool_ops;

/* stats.c */
void dms_stats_setup(struct net_device *dev);
void dms_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats);
int dms_get_sset_count(struct net_device *dev, int sset);
void dms_get_strings(struct net_device *dev, u32 sset, u8 *data);
void dms_get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats,
			   u64 *data);

static inline void dms_rx_add(struct dms_queue *q, enum dms_rx_stat what,
			      unsigned long n)
{
	u64_stats_update_begin(&q->rx_sync);
	u64_stats_add(&q->rx[what], n);
	u64_stats_update_end(&q->rx_sync);
}

static inline void dms_tx_add(struct dms_queue *q, enum dms_tx_stat what,
			      unsigned long n)
{
	u64_stats_update_begin(&q->tx_sync);
	u64_stats_add(&q->tx[what], n);
	u64_stats_update_end(&q->tx_sync);
}

#endif /* DEVMEMSIM_H */
