/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * An experiment's interface: fragments of device memory given back by generic netlink.
 * For measurements alone; no kernel has it.
 */
#ifndef NETLINK_RETURN_H
#define NETLINK_RETURN_H

#define NETLINK_RETURN_FAMILY "devmem_return"
#define NETLINK_RETURN_VERSION 1

enum { NETLINK_RETURN_CMD_RETURN = 1 };

enum {
	NETLINK_RETURN_ATTR_SOCKET = 1,	/* u32: the socket's descriptor */
	NETLINK_RETURN_ATTR_TOKENS,	/* array of struct dmabuf_token */
	NETLINK_RETURN_ATTR_LAST = NETLINK_RETURN_ATTR_TOKENS,
};

#endif
