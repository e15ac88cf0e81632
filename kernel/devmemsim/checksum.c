// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - checksums: what the NIC says of those of a packet
 *
 * Either that it verified them, or, as a NIC does that knows no TCP, the sum of
 * all that came (CHECKSUM_COMPLETE). The latter is for single segments: a NIC
 * that merges them has to know TCP.
 */
#include <linux/if_ether.h>

#include "devmemsim.h"

/**
 * dms_csum_finish() - fill in a checksum that the sender left to the device
 * @skb: packet on its way, which is to be summed up
 */
int dms_csum_finish(struct sk_buff *skb)
{
	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return 0;
	return skb_checksum_help(skb);
}

/**
 * dms_csum_verify() - find out what there is to say of a packet's checksum
 * @skb: packet that is to be split, as it was sent
 *
 * To be asked once a packet: whether it is summed up may change at any time.
 * Almost all senders leave the checksum to the device: nothing to verify.
 */
enum dms_csum dms_csum_verify(const struct sk_buff *skb)
{
	bool ok;

	if (READ_ONCE(dms_csum_complete) && !skb_is_gso(skb))
		return DMS_CSUM_SUMMED;
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		return DMS_CSUM_GOOD;
	if (!dms_flow_csum_known(skb, &ok))
		return DMS_CSUM_UNKNOWN;
	return ok ? DMS_CSUM_GOOD : DMS_CSUM_BAD;
}

/* All behind the Ethernet header, padding of zeroes included. */
static __wsum dms_csum_sum(struct sk_buff *skb)
{
	const struct dms_cb *cb = dms_cb(skb);

	return skb_checksum(skb, ETH_HLEN,
			    cb->payload_off + cb->payload_len - ETH_HLEN, 0);
}

/**
 * dms_csum_set() - say of a split packet what is known of its checksum
 * @q: queue that it came on
 * @to: the split packet
 * @from: the packet as it was sent
 * @verdict: what dms_csum_verify() said of the latter; dms_csum_finish() has
 *	finished it where it is to be summed up
 *
 * A checksum that the sender left to the device stays open where the packet
 * could still be forwarded; nobody could ever finish it where the payload is
 * unreadable, and nothing was on a wire that could have damaged it.
 */
void dms_csum_set(struct dms_queue *q, struct sk_buff *to,
		  struct sk_buff *from, enum dms_csum verdict)
{
	if (verdict == DMS_CSUM_SUMMED) {
		to->ip_summed = CHECKSUM_COMPLETE;
		to->csum = dms_csum_sum(from);
		dms_rx_add(q, DMS_RX_CSUM_COMPLETE, 1);
	} else if (from->ip_summed == CHECKSUM_PARTIAL &&
		   skb_frags_readable(to)) {
		to->ip_summed = CHECKSUM_PARTIAL;
		to->csum_start = skb_headroom(to) +
				 skb_checksum_start_offset(from);
		to->csum_offset = from->csum_offset;
	} else {
		to->ip_summed = verdict == DMS_CSUM_GOOD ?
				CHECKSUM_UNNECESSARY : CHECKSUM_NONE;
	}
}
