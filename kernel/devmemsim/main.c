// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - module parameters, and the life of the pair of ports
 */
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>

#include "devmemsim.h"

unsigned int dms_loss;
unsigned int dms_linear_bytes;
unsigned int dms_frag_size = PAGE_SIZE;
bool dms_dst_only;
bool dms_ipv4_only;
bool dms_careless;

static unsigned int queues = 4;
static unsigned int ring_size = DMS_DEFAULT_RING;
static bool header_split;

static struct platform_device *dms_pdev;
static struct net_device *dms_ports[2];

static int dms_set_range(const char *val, const struct kernel_param *kp,
			 unsigned int min, unsigned int max)
{
	int err = param_set_uint_minmax(val, kp, min, max);

	if (err)
		pr_err(DMS_NAME ": %s must be a number from %u to %u\n",
		       kp->name, min, max);
	return err;
}

static int dms_set_queues(const char *val, const struct kernel_param *kp)
{
	return dms_set_range(val, kp, 1, DMS_MAX_QUEUES);
}

static int dms_set_ring_size(const char *val, const struct kernel_param *kp)
{
	return dms_set_range(val, kp, DMS_MIN_RING, DMS_MAX_RING);
}

static int dms_set_loss(const char *val, const struct kernel_param *kp)
{
	return dms_set_range(val, kp, 0, DMS_LOSS_UNIT);
}

static int dms_set_linear_bytes(const char *val, const struct kernel_param *kp)
{
	return dms_set_range(val, kp, 0, PAGE_SIZE / 2);
}

static int dms_set_frag_size(const char *val, const struct kernel_param *kp)
{
	unsigned int size;

	if (kstrtouint(val, 0, &size) || !is_power_of_2(size) ||
	    size < DMS_MIN_FRAG || size > PAGE_SIZE) {
		pr_err(DMS_NAME ": frag_size must be a power of two from %u to %lu\n",
		       DMS_MIN_FRAG, PAGE_SIZE);
		return -EINVAL;
	}
	WRITE_ONCE(*(unsigned int *)kp->arg, size);
	return 0;
}

static const struct kernel_param_ops dms_queues_param = {
	.set = dms_set_queues,
	.get = param_get_uint,
};

static const struct kernel_param_ops dms_ring_size_param = {
	.set = dms_set_ring_size,
	.get = param_get_uint,
};

static const struct kernel_param_ops dms_loss_param = {
	.set = dms_set_loss,
	.get = param_get_uint,
};

static const struct kernel_param_ops dms_linear_bytes_param = {
	.set = dms_set_linear_bytes,
	.get = param_get_uint,
};

static const struct kernel_param_ops dms_frag_size_param = {
	.set = dms_set_frag_size,
	.get = param_get_uint,
};

module_param_cb(queues, &dms_queues_param, &queues, 0444);
MODULE_PARM_DESC(queues, "Queue pairs of each port, 1 to 64 (4)");
module_param_cb(ring_size, &dms_ring_size_param, &ring_size, 0444);
MODULE_PARM_DESC(ring_size, "Packets that a receive queue holds at load, 16 to 16384 (512)");
module_param(header_split, bool, 0444);
MODULE_PARM_DESC(header_split, "tcp-data-split at load (0)");
module_param_cb(loss, &dms_loss_param, &dms_loss, 0644);
MODULE_PARM_DESC(loss, "Packets with TCP payload dropped of each 10000 received, 0 to 10000 (0)");
module_param_cb(linear_bytes, &dms_linear_bytes_param, &dms_linear_bytes, 0644);
MODULE_PARM_DESC(linear_bytes, "Payload bytes left beside the headers despite header split, 0 to half a page (0)");
module_param_cb(frag_size, &dms_frag_size_param, &dms_frag_size, 0644);
MODULE_PARM_DESC(frag_size, "Bytes of a payload fragment, a power of two from 256 to the page size (page size)");
module_param_named(dst_only, dms_dst_only, bool, 0644);
MODULE_PARM_DESC(dst_only, "Refuse new rules that match a source address or port (0)");
module_param_named(ipv4_only, dms_ipv4_only, bool, 0644);
MODULE_PARM_DESC(ipv4_only, "Refuse new rules that match IPv6 (0)");
module_param_named(careless, dms_careless, bool, 0644);
MODULE_PARM_DESC(careless, "Hand up what unpatched kernels mistake: bad checksums, payload in head pages, all to GRO (0)");

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
	const struct dms_config cfg = {
		.queues = queues,
		.ring_size = ring_size,
		.hds = header_split,
	};
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
