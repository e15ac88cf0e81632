// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - ethtool: rings, channels, RSS, link
 */
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>

#include "devmemsim.h"

static void dms_get_drvinfo(struct net_device *dev,
			    struct ethtool_drvinfo *info)
{
	strscpy(info->driver, DMS_NAME, sizeof(info->driver));
}

static int dms_get_link_ksettings(struct net_device *dev,
				  struct ethtool_link_ksettings *cmd)
{
	cmd->base.speed = SPEED_100000;
	cmd->base.duplex = DUPLEX_FULL;
	cmd->base.port = PORT_OTHER;
	cmd->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static void dms_get_ringparam(struct net_device *dev,
			      struct ethtool_ringparam *ring,
			      struct kernel_ethtool_ringparam *kring,
			      struct netlink_ext_ack *extack)
{
	struct dms_port *port = netdev_priv(dev);

	ring->rx_max_pending = DMS_MAX_RING;
	ring->rx_pending = port->cfg.ring_size;
	kring->tcp_data_split = port->cfg.hds ?
				ETHTOOL_TCP_DATA_SPLIT_ENABLED :
				ETHTOOL_TCP_DATA_SPLIT_DISABLED;
	dms_ring_set_hds_thresh(kring, port->cfg.hds_thresh,
				DMS_MAX_HDS_THRESH);
}

static int dms_set_ringparam(struct net_device *dev,
			     struct ethtool_ringparam *ring,
			     struct kernel_ethtool_ringparam *kring,
			     struct netlink_ext_ack *extack)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_config cfg = port->cfg;

	if (ring->rx_pending < DMS_MIN_RING) {
		NL_SET_ERR_MSG(extack, "rx ring must hold at least "
			       __stringify(DMS_MIN_RING) " packets");
		return -EINVAL;
	}
	cfg.ring_size = ring->rx_pending;
	cfg.hds_thresh = dms_ring_hds_thresh(kring);
	cfg.hds = kring->tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_ENABLED;

	/* Newer cores refuse this themselves. */
	if (!cfg.hds && dms_mem_bound(port)) {
		NL_SET_ERR_MSG(extack, "tcp-data-split is needed while a dma-buf is bound");
		return -EINVAL;
	}
	return dms_queues_reconfigure(port, &cfg);
}

static void dms_get_channels(struct net_device *dev,
			     struct ethtool_channels *ch)
{
	struct dms_port *port = netdev_priv(dev);

	ch->max_combined = dev->num_rx_queues;
	ch->combined_count = port->cfg.queues;
}

static int dms_set_channels(struct net_device *dev,
			    struct ethtool_channels *ch)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_config cfg = port->cfg;
	int err;

	cfg.queues = ch->combined_count;
	err = dms_queues_reconfigure(port, &cfg);
	/* The core has seen to it that a table of the user's own still fits. */
	if (!err && !netif_is_rxfh_configured(dev))
		dms_rss_spread(port->rss, cfg.queues);
	return err;
}

static u32 __maybe_unused dms_get_rx_ring_count(struct net_device *dev)
{
	struct dms_port *port = netdev_priv(dev);

	return port->cfg.queues;
}

static u32 dms_get_rxfh_key_size(struct net_device *dev)
{
	return DMS_RSS_KEY_SIZE;
}

static u32 dms_get_rxfh_indir_size(struct net_device *dev)
{
	return DMS_INDIR_SIZE;
}

static void dms_read_rss(const struct dms_rss *rss, u32 *indir, u8 *key)
{
	if (indir)
		memcpy(indir, rss->indir, sizeof(rss->indir));
	if (key)
		memcpy(key, rss->key, sizeof(rss->key));
}

static int dms_write_rss(struct dms_rss *rss, const u32 *indir, const u8 *key,
			 u8 hfunc, struct netlink_ext_ack *extack)
{
	unsigned int i;

	if (hfunc != ETH_RSS_HASH_NO_CHANGE && hfunc != ETH_RSS_HASH_TOP) {
		NL_SET_ERR_MSG(extack, "Toeplitz is the only hash function");
		return -EOPNOTSUPP;
	}
	if (indir)
		for (i = 0; i < DMS_INDIR_SIZE; i++)
			WRITE_ONCE(rss->indir[i], indir[i]);
	if (key)
		dms_rss_set_key(rss, key);
	return 0;
}

#ifdef HAVE_RXFH_PARAM

static int dms_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh)
{
	struct dms_port *port = netdev_priv(dev);

	rxfh->hfunc = ETH_RSS_HASH_TOP;
	dms_read_rss(port->rss, rxfh->indir, rxfh->key);
	return 0;
}

static int dms_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
			struct netlink_ext_ack *extack)
{
	struct dms_port *port = netdev_priv(dev);

	return dms_write_rss(port->rss, rxfh->indir, rxfh->key, rxfh->hfunc,
			     extack);
}

#else

static int dms_get_rxfh(struct net_device *dev, u32 *indir, u8 *key, u8 *hfunc)
{
	struct dms_port *port = netdev_priv(dev);

	if (hfunc)
		*hfunc = ETH_RSS_HASH_TOP;
	dms_read_rss(port->rss, indir, key);
	return 0;
}

static int dms_set_rxfh(struct net_device *dev, const u32 *indir,
			const u8 *key, const u8 hfunc)
{
	struct dms_port *port = netdev_priv(dev);

	return dms_write_rss(port->rss, indir, key, hfunc, NULL);
}

#endif /* HAVE_RXFH_PARAM */

const struct ethtool_ops dms_ethtool_ops = {
	DMS_OP_NEEDS_RTNL
	.supported_ring_params	= DMS_RING_PARAMS,
	.get_drvinfo		= dms_get_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= dms_get_link_ksettings,
	.get_ts_info		= ethtool_op_get_ts_info,
	.get_ringparam		= dms_get_ringparam,
	.set_ringparam		= dms_set_ringparam,
	.get_channels		= dms_get_channels,
	.set_channels		= dms_set_channels,
	DMS_OP_RX_RING_COUNT
	.get_rxnfc		= dms_get_rxnfc,
	.set_rxnfc		= dms_set_rxnfc,
	.get_rxfh_key_size	= dms_get_rxfh_key_size,
	.get_rxfh_indir_size	= dms_get_rxfh_indir_size,
	.get_rxfh		= dms_get_rxfh,
	.set_rxfh		= dms_set_rxfh,
	DMS_OP_RXFH_CONTEXT
	.get_sset_count		= dms_get_sset_count,
	.get_strings		= dms_get_strings,
	.get_ethtool_stats	= dms_get_ethtool_stats,
};
