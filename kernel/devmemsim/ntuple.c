// SPDX-License-Identifier: GPL-2.0
/*
 * devmemsim - flow steering rules (ethtool -N)
 *
 * Rules are matched in the order of their location. A rule never changes once
 * packets can see it.
 */
#include <linux/ethtool.h>
#include <linux/slab.h>

#include "devmemsim.h"

#define DMS_MATCH_SRC	BIT(0)
#define DMS_MATCH_DST	BIT(1)
#define DMS_MATCH_SPORT	BIT(2)
#define DMS_MATCH_DPORT	BIT(3)

/**
 * struct dms_rule - one rule
 * @rcu: for freeing it behind the packets
 * @spec: as user space gave it
 * @want: fields that have to be equal
 * @match: which of them, DMS_MATCH_...
 * @queue: where matching packets go
 * @context: RSS context that spreads them instead, 0 if there is none
 */
struct dms_rule {
	struct rcu_head rcu;
	struct ethtool_rx_flow_spec spec;
	struct dms_flow want;
	unsigned int match;
	unsigned int queue;
	u32 context;
};

static bool dms_rule_matches(const struct dms_rule *rule,
			     const struct dms_flow *flow)
{
	const struct dms_flow *want = &rule->want;

	if (flow->l3 != want->l3 || flow->l4 != want->l4)
		return false;
	if (rule->match & DMS_MATCH_SPORT && flow->sport != want->sport)
		return false;
	if (rule->match & DMS_MATCH_DPORT && flow->dport != want->dport)
		return false;
	if (rule->match & DMS_MATCH_SRC &&
	    memcmp(flow->src, want->src, sizeof(want->src)))
		return false;
	if (rule->match & DMS_MATCH_DST &&
	    memcmp(flow->dst, want->dst, sizeof(want->dst)))
		return false;
	return true;
}

static int dms_rule_queue(const struct dms_port *port,
			  const struct dms_rule *rule, u32 hash)
{
	const struct dms_rss *rss = port->rss;

	if (!rule->context)
		return rule->queue;
	return READ_ONCE(rss->context[rule->context][hash % DMS_INDIR_SIZE]);
}

/**
 * dms_rules_match() - find the queue that the rules say for a packet
 * @port: receiving port
 * @flow: headers of the packet
 * @hash: their hash
 *
 * Return: index of the queue, or -1 if no rule matches.
 */
int dms_rules_match(const struct dms_port *port, const struct dms_flow *flow,
		    u32 hash)
{
	const struct dms_rule *rule;
	int queue = -1;
	int i;

	if (!READ_ONCE(port->rule_count) || !flow->l4 ||
	    !(port->dev->features & NETIF_F_NTUPLE))
		return -1;

	rcu_read_lock();
	for (i = 0; i < DMS_MAX_RULES && queue < 0; i++) {
		rule = rcu_dereference(port->rules[i]);
		if (rule && dms_rule_matches(rule, flow))
			queue = dms_rule_queue(port, rule, hash);
	}
	rcu_read_unlock();
	return queue;
}

/*
 * A field is matched whole or not at all. Takes the bytes of a value and its
 * mask; answers @flag, 0 for an empty mask, or an error for one in between.
 */
static int dms_match_field(const void *mask, void *want, const void *value,
			   size_t size, unsigned int flag)
{
	if (!memchr_inv(mask, 0, size))
		return 0;
	if (memchr_inv(mask, 0xff, size))
		return -EINVAL;
	memcpy(want, value, size);
	return flag;
}

static int dms_match_all(struct dms_rule *rule, const int *fields, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (fields[i] < 0)
			return fields[i];
		rule->match |= fields[i];
	}
	return 0;
}

static int dms_rule_from_ipv4(struct dms_rule *rule)
{
	const struct ethtool_tcpip4_spec *val = &rule->spec.h_u.tcp_ip4_spec;
	const struct ethtool_tcpip4_spec *mask = &rule->spec.m_u.tcp_ip4_spec;
	struct dms_flow *want = &rule->want;
	const int fields[] = {
		dms_match_field(&mask->ip4src, want->src, &val->ip4src,
				sizeof(val->ip4src), DMS_MATCH_SRC),
		dms_match_field(&mask->ip4dst, want->dst, &val->ip4dst,
				sizeof(val->ip4dst), DMS_MATCH_DST),
		dms_match_field(&mask->psrc, &want->sport, &val->psrc,
				sizeof(val->psrc), DMS_MATCH_SPORT),
		dms_match_field(&mask->pdst, &want->dport, &val->pdst,
				sizeof(val->pdst), DMS_MATCH_DPORT),
	};

	if (mask->tos)
		return -EOPNOTSUPP;
	want->l3 = ETH_P_IP;
	return dms_match_all(rule, fields, ARRAY_SIZE(fields));
}

static int dms_rule_from_ipv6(struct dms_rule *rule)
{
	const struct ethtool_tcpip6_spec *val = &rule->spec.h_u.tcp_ip6_spec;
	const struct ethtool_tcpip6_spec *mask = &rule->spec.m_u.tcp_ip6_spec;
	struct dms_flow *want = &rule->want;
	const int fields[] = {
		dms_match_field(mask->ip6src, want->src, val->ip6src,
				sizeof(val->ip6src), DMS_MATCH_SRC),
		dms_match_field(mask->ip6dst, want->dst, val->ip6dst,
				sizeof(val->ip6dst), DMS_MATCH_DST),
		dms_match_field(&mask->psrc, &want->sport, &val->psrc,
				sizeof(val->psrc), DMS_MATCH_SPORT),
		dms_match_field(&mask->pdst, &want->dport, &val->pdst,
				sizeof(val->pdst), DMS_MATCH_DPORT),
	};

	if (mask->tclass || READ_ONCE(dms_ipv4_only))
		return -EOPNOTSUPP;
	want->l3 = ETH_P_IPV6;
	return dms_match_all(rule, fields, ARRAY_SIZE(fields));
}

static int dms_rule_translate(struct dms_rule *rule)
{
	switch (rule->spec.flow_type & ~FLOW_RSS) {
	case TCP_V4_FLOW:
		rule->want.l4 = IPPROTO_TCP;
		return dms_rule_from_ipv4(rule);
	case UDP_V4_FLOW:
		rule->want.l4 = IPPROTO_UDP;
		return dms_rule_from_ipv4(rule);
	case TCP_V6_FLOW:
		rule->want.l4 = IPPROTO_TCP;
		return dms_rule_from_ipv6(rule);
	case UDP_V6_FLOW:
		rule->want.l4 = IPPROTO_UDP;
		return dms_rule_from_ipv6(rule);
	default:	/* another protocol, VLAN and MAC matches */
		return -EOPNOTSUPP;
	}
}

static void dms_rule_set(struct dms_port *port, u32 loc, struct dms_rule *rule)
{
	struct dms_rule *old;

	old = dms_ops_dereference(port->rules[loc], port->dev);
	rcu_assign_pointer(port->rules[loc], rule);
	WRITE_ONCE(port->rule_count, port->rule_count + !!rule - !!old);
	if (old)
		kfree_rcu(old, rcu);
}

static int dms_rule_place(struct dms_port *port, u32 *loc)
{
	u32 i;

	if (*loc == RX_CLS_LOC_ANY || *loc == RX_CLS_LOC_FIRST) {
		for (i = 0; i < DMS_MAX_RULES; i++) {
			if (!rcu_access_pointer(port->rules[i])) {
				*loc = i;
				return 0;
			}
		}
		return -ENOSPC;
	}
	if (*loc == RX_CLS_LOC_LAST) {
		for (i = DMS_MAX_RULES; i-- > 0;) {
			if (!rcu_access_pointer(port->rules[i])) {
				*loc = i;
				return 0;
			}
		}
		return -ENOSPC;
	}
	return *loc < DMS_MAX_RULES ? 0 : -EINVAL;
}

/* Where the rule leads: a queue, or the context that @nfc names. */
static int dms_rule_aim(const struct dms_port *port, struct dms_rule *rule,
			const struct ethtool_rxnfc *nfc)
{
	rule->queue = nfc->fs.ring_cookie;
	if (!(nfc->fs.flow_type & FLOW_RSS) || !nfc->rss_context)
		return 0;
	if (!dms_context_exists(port->rss, nfc->rss_context))
		return -EINVAL;
	rule->context = nfc->rss_context;
	return 0;
}

static int dms_rule_insert(struct dms_port *port, struct ethtool_rxnfc *nfc)
{
	struct ethtool_rx_flow_spec *spec = &nfc->fs;
	struct dms_rule *rule;
	int err;

	if (spec->ring_cookie == RX_CLS_FLOW_DISC ||
	    spec->ring_cookie == RX_CLS_FLOW_WAKE)
		return -EOPNOTSUPP;
	if (spec->ring_cookie >= port->cfg.queues)
		return -EINVAL;

	err = dms_rule_place(port, &spec->location);
	if (err)
		return err;

	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return -ENOMEM;
	rule->spec = *spec;
	err = dms_rule_aim(port, rule, nfc);
	if (!err)
		err = dms_rule_translate(rule);
	if (!err && READ_ONCE(dms_dst_only) &&
	    rule->match & (DMS_MATCH_SRC | DMS_MATCH_SPORT))
		err = -EOPNOTSUPP;
	if (err) {
		kfree(rule);
		return err;
	}
	dms_rule_set(port, spec->location, rule);
	return 0;
}

static int dms_rule_delete(struct dms_port *port, u32 loc)
{
	if (loc >= DMS_MAX_RULES)
		return -EINVAL;
	if (!rcu_access_pointer(port->rules[loc]))
		return -ENOENT;
	dms_rule_set(port, loc, NULL);
	return 0;
}

static int dms_rule_get(struct dms_port *port, struct ethtool_rxnfc *nfc)
{
	struct ethtool_rx_flow_spec *fs = &nfc->fs;
	const struct dms_rule *rule;

	if (fs->location >= DMS_MAX_RULES)
		return -EINVAL;
	rule = dms_ops_dereference(port->rules[fs->location], port->dev);
	if (!rule)
		return -ENOENT;
	*fs = rule->spec;
	nfc->rss_context = rule->context;
	return 0;
}

static int dms_rule_list(struct dms_port *port, struct ethtool_rxnfc *nfc,
			 u32 *locs)
{
	u32 i, n = 0;

	for (i = 0; i < DMS_MAX_RULES; i++) {
		if (!rcu_access_pointer(port->rules[i]))
			continue;
		if (n == nfc->rule_cnt)
			return -EMSGSIZE;
		locs[n++] = i;
	}
	nfc->rule_cnt = n;
	nfc->data = DMS_MAX_RULES;
	return 0;
}

/**
 * dms_rules_use_context() - whether a rule leads to an RSS context
 * @port: the port, not changed meanwhile
 * @context: number of the context
 */
bool dms_rules_use_context(const struct dms_port *port, u32 context)
{
	const struct dms_rule *rule;
	int i;

	for (i = 0; i < DMS_MAX_RULES; i++) {
		rule = dms_ops_dereference(port->rules[i], port->dev);
		if (rule && rule->context == context)
			return true;
	}
	return false;
}

/**
 * dms_rules_free() - remove all rules of a port that takes no more packets
 * @port: the port
 */
void dms_rules_free(struct dms_port *port)
{
	int i;

	for (i = 0; i < DMS_MAX_RULES; i++)
		kfree(rcu_dereference_protected(port->rules[i], true));
}

int dms_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc, u32 *locs)
{
	struct dms_port *port = netdev_priv(dev);

	switch (nfc->cmd) {
	case ETHTOOL_GRXRINGS:
		nfc->data = port->cfg.queues;
		return 0;
	case ETHTOOL_GRXCLSRLCNT:
		nfc->rule_cnt = port->rule_count;
		nfc->data = DMS_MAX_RULES | RX_CLS_LOC_SPECIAL;
		return 0;
	case ETHTOOL_GRXCLSRULE:
		return dms_rule_get(port, nfc);
	case ETHTOOL_GRXCLSRLALL:
		return dms_rule_list(port, nfc, locs);
	default:
		return -EOPNOTSUPP;
	}
}

int dms_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc)
{
	struct dms_port *port = netdev_priv(dev);

	switch (nfc->cmd) {
	case ETHTOOL_SRXCLSRLINS:
		return dms_rule_insert(port, nfc);
	case ETHTOOL_SRXCLSRLDEL:
		return dms_rule_delete(port, nfc->fs.location);
	default:
		return -EOPNOTSUPP;
	}
}
