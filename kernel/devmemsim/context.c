// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - RSS contexts: more tables, that rules send packets to
 *
 * The core numbers the contexts and remembers their tables for user space; here
 * is the copy that packets meet.
 */
#include <linux/ethtool.h>

#include "devmemsim.h"

/**
 * dms_context_exists() - whether a rule may name a context
 * @rss: where the contexts are
 * @context: number of it
 */
bool dms_context_exists(const struct dms_rss *rss, u32 context)
{
	return context < DMS_MAX_CONTEXTS && rss->contexts & BIT(context);
}

#ifdef HAVE_RXFH_CONTEXT

static void dms_context_set(struct dms_rss *rss, u32 context, const u32 *table)
{
	unsigned int i;

	for (i = 0; i < DMS_INDIR_SIZE; i++)
		WRITE_ONCE(rss->context[context][i], table[i]);
}

/**
 * dms_create_context() - make a context, with the table given or all queues
 * @dev: the port
 * @ctx: the core's record, of which the defaults are filled in
 * @rxfh: what user space asked for
 * @extack: unused
 */
int dms_create_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
		       const struct ethtool_rxfh_param *rxfh,
		       struct netlink_ext_ack *extack)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_rss *rss = port->rss;
	u32 *table = ethtool_rxfh_context_indir(ctx);
	unsigned int i;

	for (i = 0; i < DMS_INDIR_SIZE; i++)
		table[i] = ethtool_rxfh_indir_default(i, port->cfg.queues);
	memcpy(ethtool_rxfh_context_key(ctx), rss->key, sizeof(rss->key));
	ctx->hfunc = ETH_RSS_HASH_TOP;

	dms_context_set(rss, rxfh->rss_context, rxfh->indir ?: table);
	rss->contexts |= BIT(rxfh->rss_context);
	return 0;
}

/**
 * dms_modify_context() - change the table of a context
 * @dev: the port
 * @ctx: the core's record
 * @rxfh: what user space asked for; key and function are those of the port
 * @extack: unused
 */
int dms_modify_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
		       const struct ethtool_rxfh_param *rxfh,
		       struct netlink_ext_ack *extack)
{
	struct dms_port *port = netdev_priv(dev);

	if (rxfh->indir)
		dms_context_set(port->rss, rxfh->rss_context, rxfh->indir);
	return 0;
}

/**
 * dms_remove_context() - remove a context that no rule uses
 * @dev: the port
 * @ctx: the core's record
 * @context: number of it
 * @extack: tells which rule uses it
 */
int dms_remove_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
		       u32 context, struct netlink_ext_ack *extack)
{
	struct dms_port *port = netdev_priv(dev);

	if (dms_rules_use_context(port, context)) {
		NL_SET_ERR_MSG(extack, "a rule uses the context");
		return -EBUSY;
	}
	port->rss->contexts &= ~BIT(context);
	return 0;
}

#endif /* HAVE_RXFH_CONTEXT */
