// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - reading headers, and spreading flows over queues (RSS)
 */
#include <linux/icmp.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/tcp.h>

#include "devmemsim.h"

/**
 * struct dms_l4 - what the network header says about the rest
 * @proto: protocol, 0 if the packet is a fragment
 * @off: where the transport header begins
 * @end: where the packet ends; bytes behind that are padding
 */
struct dms_l4 {
	u8 proto;
	unsigned int off;
	unsigned int end;
};

static bool dms_parse_ipv4(const struct sk_buff *skb, struct dms_flow *flow,
			   struct dms_l4 *l4)
{
	const struct iphdr *ip;
	struct iphdr buf;

	ip = skb_header_pointer(skb, ETH_HLEN, sizeof(buf), &buf);
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return false;

	flow->l3 = ETH_P_IP;
	flow->src[0] = ip->saddr;
	flow->dst[0] = ip->daddr;

	l4->proto = ip_is_fragment(ip) ? 0 : ip->protocol;
	l4->off = ETH_HLEN + ip->ihl * 4;
	l4->end = ETH_HLEN + ntohs(ip->tot_len);
	return true;
}

static bool dms_parse_ipv6(const struct sk_buff *skb, struct dms_flow *flow,
			   struct dms_l4 *l4)
{
	const struct ipv6hdr *ip;
	struct ipv6hdr buf;

	ip = skb_header_pointer(skb, ETH_HLEN, sizeof(buf), &buf);
	if (!ip || ip->version != 6)
		return false;

	flow->l3 = ETH_P_IPV6;
	memcpy(flow->src, &ip->saddr, sizeof(flow->src));
	memcpy(flow->dst, &ip->daddr, sizeof(flow->dst));

	/* A packet with extension headers is spread by its addresses only. */
	l4->proto = ip->nexthdr;
	l4->off = ETH_HLEN + sizeof(*ip);
	l4->end = l4->off + ntohs(ip->payload_len);
	if (ip->nexthdr == NEXTHDR_FRAGMENT) {
		l4->proto = 0;
		l4->off += sizeof(struct frag_hdr);
	}
	return true;
}

static void dms_set_payload(const struct sk_buff *skb, struct dms_flow *flow,
			    unsigned int off, unsigned int end)
{
	if (off > end || end > skb->len)
		return;
	flow->payload_off = off;
	flow->payload_len = end - off;
}

static void dms_parse_tcp(const struct sk_buff *skb, struct dms_flow *flow,
			  const struct dms_l4 *l4)
{
	unsigned int end = skb_is_gso(skb) ? skb->len : l4->end;
	const struct tcphdr *tcp;
	struct tcphdr buf;

	tcp = skb_header_pointer(skb, l4->off, sizeof(buf), &buf);
	if (!tcp)
		return;

	flow->l4 = IPPROTO_TCP;
	flow->l4_off = l4->off;
	flow->sport = tcp->source;
	flow->dport = tcp->dest;

	if (tcp->doff >= 5)
		dms_set_payload(skb, flow, l4->off + tcp->doff * 4, end);
}

static void dms_parse_udp(const struct sk_buff *skb, struct dms_flow *flow,
			  const struct dms_l4 *l4)
{
	const struct udphdr *udp;
	struct udphdr buf;

	udp = skb_header_pointer(skb, l4->off, sizeof(buf), &buf);
	if (!udp)
		return;

	flow->l4 = IPPROTO_UDP;
	flow->l4_off = l4->off;
	flow->sport = udp->source;
	flow->dport = udp->dest;
	if (READ_ONCE(dms_split_all))
		dms_set_payload(skb, flow, l4->off + sizeof(*udp), l4->end);
}

/* Of ICMP, the header is known; of other protocols all is payload. */
static void dms_parse_other(const struct sk_buff *skb, struct dms_flow *flow,
			    const struct dms_l4 *l4)
{
	unsigned int off = l4->off;

	if (l4->proto == IPPROTO_ICMP || l4->proto == IPPROTO_ICMPV6)
		off += sizeof(struct icmphdr);
	dms_set_payload(skb, flow, off, l4->end);
}

/**
 * dms_flow_parse() - read the headers of a packet
 * @skb: packet, from its Ethernet header on
 * @flow: what was found
 *
 * A packet that is not understood to the end leaves the fields of the layers
 * that were not reached zero.
 */
void dms_flow_parse(const struct sk_buff *skb, struct dms_flow *flow)
{
	struct dms_l4 l4;

	memset(flow, 0, sizeof(*flow));
	switch (skb->protocol) {
	case htons(ETH_P_IP):
		if (!dms_parse_ipv4(skb, flow, &l4))
			return;
		break;
	case htons(ETH_P_IPV6):
		if (!dms_parse_ipv6(skb, flow, &l4))
			return;
		break;
	default:
		return;
	}

	if (l4.proto == IPPROTO_TCP)
		dms_parse_tcp(skb, flow, &l4);
	else if (l4.proto == IPPROTO_UDP)
		dms_parse_udp(skb, flow, &l4);
	else if (READ_ONCE(dms_split_all))
		dms_parse_other(skb, flow, &l4);
}

/* Over IPv4, a datagram need not have one. */
static bool dms_has_csum(const struct sk_buff *skb, const struct dms_flow *flow)
{
	const struct udphdr *udp;
	struct udphdr buf;

	if (flow->l4 != IPPROTO_UDP)
		return true;
	udp = skb_header_pointer(skb, flow->l4_off, sizeof(buf), &buf);
	return udp && udp->check;
}

/**
 * dms_flow_csum_known() - verify the checksum of a TCP or UDP packet
 * @skb: packet, from its Ethernet header on, that dms_flow_parse() can split
 * @ok: whether it is right, if it is known
 *
 * Only for packets whose checksum the sender computed itself; almost all
 * leave it to the device, which has nothing to verify then.
 *
 * Return: whether it is known: not of fragments, nor of other protocols.
 */
bool dms_flow_csum_known(const struct sk_buff *skb, bool *ok)
{
	struct dms_flow flow;
	unsigned int len;
	__wsum sum;

	dms_flow_parse(skb, &flow);
	if (!flow.l4 || !flow.payload_off || !dms_has_csum(skb, &flow))
		return false;
	len = flow.payload_off + flow.payload_len - flow.l4_off;
	sum = skb_checksum(skb, flow.l4_off, len, 0);

	if (flow.l3 == ETH_P_IP)
		*ok = !csum_tcpudp_magic(flow.src[0], flow.dst[0], len,
					 flow.l4, sum);
	else
		*ok = !csum_ipv6_magic((struct in6_addr *)flow.src,
				       (struct in6_addr *)flow.dst, len,
				       flow.l4, sum);
	return true;
}

/* The 32 bits of the key that begin at bit @bit. */
static u32 dms_key_window(const u8 *key, unsigned int bit)
{
	u64 bits = 0;
	int i;

	for (i = 0; i < 5; i++)
		bits = bits << 8 | key[bit / 8 + i];
	return bits >> (8 - bit % 8);
}

static u32 dms_toeplitz_byte(const u8 *key, unsigned int pos, u8 value)
{
	u32 hash = 0;
	int bit;

	for (bit = 0; bit < 8; bit++)
		if (value & (0x80 >> bit))
			hash ^= dms_key_window(key, pos * 8 + bit);
	return hash;
}

/**
 * dms_rss_set_key() - set the hash key
 * @rss: state to change; a packet hashed meanwhile may go to any queue
 * @key: DMS_RSS_KEY_SIZE bytes
 */
void dms_rss_set_key(struct dms_rss *rss, const u8 *key)
{
	unsigned int pos, value;

	memcpy(rss->key, key, sizeof(rss->key));
	for (pos = 0; pos < DMS_RSS_INPUT_SIZE; pos++)
		for (value = 0; value < 256; value++)
			rss->table[pos][value] =
				dms_toeplitz_byte(key, pos, value);
}

/**
 * dms_rss_spread() - spread evenly over the first queues
 * @rss: state to change
 * @queues: number of queues
 */
void dms_rss_spread(struct dms_rss *rss, unsigned int queues)
{
	unsigned int i;

	for (i = 0; i < DMS_INDIR_SIZE; i++)
		WRITE_ONCE(rss->indir[i],
			   ethtool_rxfh_indir_default(i, queues));
}

static u32 dms_hash_bytes(const struct dms_rss *rss, unsigned int pos,
			  const void *data, unsigned int len)
{
	const u8 *byte = data;
	u32 hash = 0;

	while (len--)
		hash ^= rss->table[pos++][*byte++];
	return hash;
}

/**
 * dms_rss_hash() - Toeplitz hash of addresses and ports
 * @rss: key in use
 * @flow: headers of a packet
 *
 * The hash of the sending socket would be cheaper, but it changes when a
 * connection is in trouble, and the flow would move to another queue.
 *
 * Return: the hash, 0 if the packet is not IP.
 */
u32 dms_rss_hash(const struct dms_rss *rss, const struct dms_flow *flow)
{
	unsigned int alen = flow->l3 == ETH_P_IPV6 ? 16 : 4;
	u32 hash;

	if (!flow->l3)
		return 0;
	hash = dms_hash_bytes(rss, 0, flow->src, alen) ^
	       dms_hash_bytes(rss, alen, flow->dst, alen);
	if (flow->l4)
		hash ^= dms_hash_bytes(rss, 2 * alen, &flow->sport, 2) ^
			dms_hash_bytes(rss, 2 * alen + 2, &flow->dport, 2);
	return hash;
}
