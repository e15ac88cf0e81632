// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - a port as a network device: creation, up, down, carrier
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/slab.h>

#include "devmemsim.h"

static int dms_open(struct net_device *dev)
{
	struct dms_port *port = netdev_priv(dev);
	int err;

	err = dms_queues_open(port);
	if (err)
		return err;

	port->running = true;
	netif_tx_start_all_queues(dev);

	/* The link is up while both ends are. */
	if (netif_running(port->peer->dev)) {
		netif_carrier_on(dev);
		netif_carrier_on(port->peer->dev);
	}
	return 0;
}

static int dms_stop(struct net_device *dev)
{
	struct dms_port *port = netdev_priv(dev);

	netif_carrier_off(dev);
	netif_carrier_off(port->peer->dev);
	netif_tx_disable(dev);

	port->running = false;
	dms_queues_close(port);
	return 0;
}

static const struct net_device_ops dms_netdev_ops = {
	.ndo_open		= dms_open,
	.ndo_stop		= dms_stop,
	.ndo_start_xmit		= dms_xmit,
	.ndo_get_stats64	= dms_get_stats64,
	.ndo_validate_addr	= eth_validate_addr,
	.ndo_set_mac_address	= eth_mac_addr,
	DMS_OP_RX_QUEUE_DEVMEM
};

static void dms_netdev_setup(struct net_device *dev)
{
	dev->netdev_ops = &dms_netdev_ops;
	dev->ethtool_ops = &dms_ethtool_ops;
	dms_stats_setup(dev);
	dms_mem_setup(dev);

	dev->hw_features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HW_CSUM |
			   NETIF_F_ALL_TSO | NETIF_F_HIGHDMA | NETIF_F_RXHASH |
			   NETIF_F_NTUPLE;
	dev->features = dev->hw_features | NETIF_F_RXCSUM;
	dev->vlan_features = dev->features & ~NETIF_F_NTUPLE;

	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU;

	dms_set_netmem_tx(dev);

	/* A packet waits on the peer's ring, so it must be ours alone. */
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	/* The ring's lock is not for hard interrupts, as netpoll would need. */
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE | IFF_DISABLE_NETPOLL;

	eth_hw_addr_random(dev);
	netif_carrier_off(dev);
}

static int dms_port_init(struct dms_port *port, const struct dms_config *cfg)
{
	u8 key[DMS_RSS_KEY_SIZE];

	port->cfg = *cfg;
	port->rss = kvzalloc(sizeof(*port->rss), GFP_KERNEL);
	if (!port->rss)
		return -ENOMEM;

	netdev_rss_key_fill(key, sizeof(key));
	dms_rss_set_key(port->rss, key);
	dms_rss_spread(port->rss, cfg->queues);

	dms_core_set_hds(port->dev, cfg->hds ? ETHTOOL_TCP_DATA_SPLIT_ENABLED :
					       ETHTOOL_TCP_DATA_SPLIT_DISABLED);
	return dms_queues_create(port);
}

/**
 * dms_netdev_create() - allocate a port
 * @parent: device that dma-bufs get attached to
 * @name: name of the network device
 * @cfg: configuration that it begins with
 *
 * Return: the device, not yet registered, or an error pointer.
 */
struct net_device *dms_netdev_create(struct device *parent, const char *name,
				     const struct dms_config *cfg)
{
	struct net_device *dev;
	struct dms_port *port;
	int err;

	dev = alloc_netdev_mqs(sizeof(*port), name, NET_NAME_USER, ether_setup,
			       cfg->queues, cfg->queues);
	if (!dev)
		return ERR_PTR(-ENOMEM);

	port = netdev_priv(dev);
	port->dev = dev;
	SET_NETDEV_DEV(dev, parent);
	dms_netdev_setup(dev);
	/* The ports are removed together: the core locks one inside the other. */
	netdev_lockdep_set_classes(dev);

	err = dms_port_init(port, cfg);
	if (err) {
		dms_netdev_free(dev);
		return ERR_PTR(err);
	}
	return dev;
}

/**
 * dms_netdev_free() - free a port that is not or no longer registered
 * @dev: the device
 */
void dms_netdev_free(struct net_device *dev)
{
	struct dms_port *port = netdev_priv(dev);
	struct dms_queue *queues = port->queues;
	struct dms_rss *rss = port->rss;

	dms_queues_settle(port);
	dms_rules_free(port);
	free_netdev(dev);	/* takes the NAPIs out of the queues first */
	kvfree(queues);
	kvfree(rss);
}
