// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - module parameters: what the NIC is like
 *
 * Those that may change at any time hold for both ports. What imitates a
 * particular kind of NIC is off unless asked for.
 */
#include <linux/log2.h>
#include <linux/module.h>

#include "devmemsim.h"

unsigned int dms_loss;
unsigned int dms_linear_bytes;
unsigned int dms_frag_size = PAGE_SIZE;
unsigned int dms_copybreak;
unsigned int dms_header_room = DMS_MAX_HEADER_ROOM;
unsigned int dms_padding;
unsigned int dms_fail_mem_alloc;
unsigned int dms_fail_start;
unsigned int dms_fail_stop;
bool dms_dst_only;
bool dms_ipv4_only;
bool dms_careless;
bool dms_prefill;
bool dms_csum_complete;
bool dms_split_all;

static unsigned int poll_delay;
static unsigned int poll_delay_queue;

static unsigned int queues = 4;
static unsigned int ring_size = DMS_DEFAULT_RING;
static bool header_split;

/* A number and its range. */
struct dms_range {
	unsigned int *value;
	unsigned int min;
	unsigned int max;
};

static int dms_set_in_range(const char *val, const struct kernel_param *kp)
{
	const struct dms_range *range = kp->arg;
	unsigned int number;

	if (kstrtouint(val, 0, &number) || number < range->min ||
	    number > range->max) {
		pr_err(DMS_NAME ": %s must be a number from %u to %u\n",
		       kp->name, range->min, range->max);
		return -EINVAL;
	}
	WRITE_ONCE(*range->value, number);
	return 0;
}

static int dms_get_in_range(char *buffer, const struct kernel_param *kp)
{
	const struct dms_range *range = kp->arg;

	return sprintf(buffer, "%u\n", READ_ONCE(*range->value));
}

static const struct kernel_param_ops dms_in_range = {
	.set = dms_set_in_range,
	.get = dms_get_in_range,
};

static struct dms_range dms_queues_range = { &queues, 1, DMS_MAX_QUEUES };
static struct dms_range dms_ring_size_range = {
	&ring_size, DMS_MIN_RING, DMS_MAX_RING
};

static struct dms_range dms_loss_range = { &dms_loss, 0, DMS_LOSS_UNIT };

static struct dms_range dms_linear_bytes_range = {
	&dms_linear_bytes, 0, PAGE_SIZE / 2
};

static struct dms_range dms_copybreak_range = {
	&dms_copybreak, 0, PAGE_SIZE / 2
};

static struct dms_range dms_header_room_range = {
	&dms_header_room, DMS_MIN_HEADER_ROOM, DMS_MAX_HEADER_ROOM
};

static struct dms_range dms_padding_range = {
	&dms_padding, 0, DMS_MAX_PADDING
};

static struct dms_range dms_poll_delay_range = {
	&poll_delay, 0, DMS_MAX_POLL_DELAY
};

static struct dms_range dms_poll_delay_queue_range = {
	&poll_delay_queue, 0, DMS_MAX_QUEUES - 1
};

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

static const struct kernel_param_ops dms_frag_size_param = {
	.set = dms_set_frag_size,
	.get = param_get_uint,
};

module_param_cb(queues, &dms_in_range, &dms_queues_range, 0444);
MODULE_PARM_DESC(queues, "Queue pairs of each port, 1 to 256 (4)");
module_param_cb(ring_size, &dms_in_range, &dms_ring_size_range, 0444);
MODULE_PARM_DESC(ring_size, "Packets that a receive queue holds at load, 16 to 16384 (512)");
module_param(header_split, bool, 0444);
MODULE_PARM_DESC(header_split, "tcp-data-split at load (0)");
module_param_cb(loss, &dms_in_range, &dms_loss_range, 0644);
MODULE_PARM_DESC(loss, "Packets that can be split dropped of each 10000 received, 0 to 10000 (0)");
module_param_cb(linear_bytes, &dms_in_range, &dms_linear_bytes_range, 0644);
MODULE_PARM_DESC(linear_bytes, "Payload bytes left beside the headers despite header split, 0 to half a page (0)");
module_param_cb(frag_size, &dms_frag_size_param, &dms_frag_size, 0644);
MODULE_PARM_DESC(frag_size, "Bytes of a payload fragment, a power of two from 256 to the page size (page size)");
module_param_cb(copybreak, &dms_in_range, &dms_copybreak_range, 0644);
MODULE_PARM_DESC(copybreak, "Payload bytes up to which a packet is not split, 0 to half a page (0)");
module_param_cb(header_room, &dms_in_range, &dms_header_room_range, 0644);
MODULE_PARM_DESC(header_room, "Bytes of a header buffer, 64 to 256; longer headers go on in payload buffers (256)");
module_param_cb(padding, &dms_in_range, &dms_padding_range, 0644);
MODULE_PARM_DESC(padding, "Bytes behind the payload of each segment, 0 to 64 (0)");
module_param_named(csum_complete, dms_csum_complete, bool, 0644);
MODULE_PARM_DESC(csum_complete, "Sum segments up (CHECKSUM_COMPLETE) in place of verifying them (0)");
module_param_named(split_all, dms_split_all, bool, 0644);
MODULE_PARM_DESC(split_all, "Split UDP, ICMP, other protocols and IP fragments as well as TCP (0)");
module_param_named(prefill, dms_prefill, bool, 0644);
MODULE_PARM_DESC(prefill, "Give each queue that starts a ring full of buffers (0)");
module_param_cb(poll_delay, &dms_in_range, &dms_poll_delay_range, 0644);
MODULE_PARM_DESC(poll_delay, "Milliseconds that packets of poll_delay_queue wait for their poll, 0 to 1000 (0)");
module_param_cb(poll_delay_queue, &dms_in_range, &dms_poll_delay_queue_range, 0644);
MODULE_PARM_DESC(poll_delay_queue, "The queue that poll_delay is for, 0 to 255 (0)");
module_param_named(fail_mem_alloc, dms_fail_mem_alloc, uint, 0644);
MODULE_PARM_DESC(fail_mem_alloc, "Which of the coming allocations of a queue's memory fails, counted down; 0: none (0)");
module_param_named(fail_start, dms_fail_start, uint, 0644);
MODULE_PARM_DESC(fail_start, "Which of the coming starts of a single queue fails, counted down; 0: none (0)");
module_param_named(fail_stop, dms_fail_stop, uint, 0644);
MODULE_PARM_DESC(fail_stop, "Which of the coming stops of a single queue fails, counted down; 0: none (0)");
module_param_named(dst_only, dms_dst_only, bool, 0644);
MODULE_PARM_DESC(dst_only, "Refuse new rules that match a source address or port (0)");
module_param_named(ipv4_only, dms_ipv4_only, bool, 0644);
MODULE_PARM_DESC(ipv4_only, "Refuse new rules that match IPv6 (0)");
module_param_named(careless, dms_careless, bool, 0644);
MODULE_PARM_DESC(careless, "Hand up what unpatched kernels mistake: bad checksums, payload in head pages, all to GRO (0)");

/**
 * dms_initial_config() - the configuration that both ports begin with
 */
struct dms_config dms_initial_config(void)
{
	return (struct dms_config) {
		.queues = queues,
		.ring_size = ring_size,
		.hds = header_split,
	};
}

/**
 * dms_poll_delay() - how long packets wait on a queue before it is polled
 * @queue: index of the queue
 *
 * Return: the time in jiffies, 0 for at once.
 */
unsigned long dms_poll_delay(unsigned int queue)
{
	unsigned int delay = READ_ONCE(poll_delay);

	if (!delay || queue != READ_ONCE(poll_delay_queue))
		return 0;
	return msecs_to_jiffies(delay);
}

/**
 * dms_fails() - tell whether it is this call that shall fail
 * @countdown: one of the fail_... parameters
 */
bool dms_fails(unsigned int *countdown)
{
	unsigned int left = READ_ONCE(*countdown);

	if (!left)
		return false;
	WRITE_ONCE(*countdown, left - 1);
	return left == 1;
}
