// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - the life of the pair of ports
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>

#include "devmemsim.h"

static struct platform_device *dms_pdev;
static struct net_device *dms_ports[2];

/*
 * The driver plays the DMA engine with memcpy(), so it has to know which
 * memory a DMA address means. That is so only without an IOMMU, bounce buffer
 * or memory encryption in between.
 */
static bool dms_dma_is_direct(struct device *dev)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t addr;
	bool direct;

	if (!page)
		return false;
	addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	direct = !dma_mapping_error(dev, addr) && addr == page_to_phys(page);
	if (!dma_mapping_error(dev, addr))
		dma_unmap_page(dev, addr, PAGE_SIZE, DMA_FROM_DEVICE);
	__free_page(page);
	return direct;
}

static struct platform_device *dms_parent_create(void)
{
	struct platform_device *pdev;
	int err;

	pdev = platform_device_register_simple(DMS_NAME, PLATFORM_DEVID_NONE,
					       NULL, 0);
	if (IS_ERR(pdev))
		return pdev;

	/* An exporter may map neighbouring pages as one piece of any length. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	err = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (!err && !dms_dma_is_direct(&pdev->dev)) {
		dev_err(&pdev->dev, "DMA addresses are not physical addresses here (IOMMU, bounce buffers or memory encryption)\n");
		err = -EOPNOTSUPP;
	}
	if (err) {
		platform_device_unregister(pdev);
		return ERR_PTR(err);
	}
	return pdev;
}

/*
 * A dma-buf attachment points at the device without holding a reference, and
 * a binding whose fragments user space still holds outlives the netdev. So a
 * device that ever had a binding is taken from sight but not freed: about one
 * kilobyte for each time that the module was unloaded after such use.
 */
static void dms_parent_destroy(struct platform_device *pdev, bool keep)
{
	if (keep)
		get_device(&pdev->dev);
	platform_device_unregister(pdev);
}

static int dms_pair_register(void)
{
	struct dms_port *a = netdev_priv(dms_ports[0]);
	struct dms_port *b = netdev_priv(dms_ports[1]);
	int err;

	a->peer = b;
	b->peer = a;

	err = register_netdev(dms_ports[0]);
	if (err)
		return err;
	err = register_netdev(dms_ports[1]);
	if (err)
		unregister_netdev(dms_ports[0]);
	return err;
}

/*
 * Both go in one batch: the core stops transmission on both before it stops
 * either, so no packet can be on its way to a port that is being taken down.
 */
static void dms_pair_unregister(void)
{
	LIST_HEAD(list);

	rtnl_lock();
	unregister_netdevice_queue(dms_ports[0], &list);
	unregister_netdevice_queue(dms_ports[1], &list);
	unregister_netdevice_many(&list);
	rtnl_unlock();
}

static int __init dms_init(void)
{
	const struct dms_config cfg = dms_initial_config();
	int err;

	dms_pdev = dms_parent_create();
	if (IS_ERR(dms_pdev))
		return PTR_ERR(dms_pdev);

	dms_ports[0] = dms_netdev_create(&dms_pdev->dev, "dms0", &cfg);
	if (IS_ERR(dms_ports[0])) {
		err = PTR_ERR(dms_ports[0]);
		goto err_parent;
	}
	dms_ports[1] = dms_netdev_create(&dms_pdev->dev, "dms1", &cfg);
	if (IS_ERR(dms_ports[1])) {
		err = PTR_ERR(dms_ports[1]);
		goto err_port0;
	}

	err = dms_pair_register();
	if (err)
		goto err_port1;
	return 0;

err_port1:
	dms_netdev_free(dms_ports[1]);
err_port0:
	dms_netdev_free(dms_ports[0]);
err_parent:
	platform_device_unregister(dms_pdev);
	return err;
}

static void __exit dms_exit(void)
{
	struct dms_port *a = netdev_priv(dms_ports[0]);
	struct dms_port *b = netdev_priv(dms_ports[1]);
	bool keep;

	dms_pair_unregister();
	keep = a->had_provider || b->had_provider;
	dms_netdev_free(dms_ports[1]);
	dms_netdev_free(dms_ports[0]);
	dms_parent_destroy(dms_pdev, keep);
}

module_init(dms_init);
module_exit(dms_exit);

MODULE_DESCRIPTION("Pair of software NICs that can receive into device memory");
MODULE_LICENSE("GPL");
