// SPDX-License-Identifier: GPL-2.0
/*
 * What it would cost to give fragments of device memory back by a generic
 * netlink command: an experiment, to be measured and not to be used.
 *
 * The command carries what setsockopt(SO_DEVMEM_DONTNEED) takes, and the
 * descriptor of the socket. What becomes of the tokens is the same code, so
 * that the difference is that of the two ways into the kernel. It takes no
 * lock of generic netlink, answers nothing and is sent without a request for
 * an acknowledgment, as cheap as such a command can be.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/sockptr.h>
#include <linux/uio.h>
#include <net/genetlink.h>
#include <net/sock.h>

#include "netlink_return.h"

static const struct nla_policy nlr_policy[NETLINK_RETURN_ATTR_LAST + 1] = {
	[NETLINK_RETURN_ATTR_SOCKET] = { .type = NLA_U32 },
	[NETLINK_RETURN_ATTR_TOKENS] = { .type = NLA_BINARY },
};

/* Netlink carries out a command in the context of whoever sends it. */
static int nlr_return(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tokens = info->attrs[NETLINK_RETURN_ATTR_TOKENS];
	struct nlattr *fd = info->attrs[NETLINK_RETURN_ATTR_SOCKET];
	struct socket *sock;
	int err;

	if (!tokens || !fd)
		return -EINVAL;
	sock = sockfd_lookup(nla_get_u32(fd), &err);
	if (!sock)
		return err;
	err = sock_setsockopt(sock, SOL_SOCKET, SO_DEVMEM_DONTNEED,
			      KERNEL_SOCKPTR(nla_data(tokens)),
			      nla_len(tokens));
	sockfd_put(sock);
	/* The number of fragments that came back. */
	return min(err, 0);
}

static const struct genl_ops nlr_ops[] = {
	{
		.cmd = NETLINK_RETURN_CMD_RETURN,
		.doit = nlr_return,
	},
};

static struct genl_family nlr_family = {
	.name = NETLINK_RETURN_FAMILY,
	.version = NETLINK_RETURN_VERSION,
	.maxattr = NETLINK_RETURN_ATTR_LAST,
	.policy = nlr_policy,
	.ops = nlr_ops,
	.n_ops = ARRAY_SIZE(nlr_ops),
	.resv_start_op = NETLINK_RETURN_CMD_RETURN + 1,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
};

static int __init nlr_init(void)
{
	return genl_register_family(&nlr_family);
}

static void __exit nlr_exit(void)
{
	genl_unregister_family(&nlr_family);
}

module_init(nlr_init);
module_exit(nlr_exit);

MODULE_DESCRIPTION("Measures giving device memory back by generic netlink");
MODULE_LICENSE("GPL");
