/* Giving fragments back by generic netlink, as the experiment's module has it. */
#ifndef NETLINK_RETURN_CLIENT_H
#define NETLINK_RETURN_CLIENT_H

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink_return.h"

#define NETLINK_RETURN_ROOM 2048

struct netlink_return {
	int fd;
	uint16_t family;
};

struct netlink_message {
	struct nlmsghdr header;
	struct genlmsghdr command;
	uint8_t attributes[NETLINK_RETURN_ROOM];
};

static inline void netlink_begin(struct netlink_message *message, uint16_t type, uint8_t command)
{
	message->header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST,
	};
	message->command = (struct genlmsghdr){ .cmd = command, .version = 1 };
}

static inline void netlink_add(struct netlink_message *message, uint16_t type, const void *value,
			       size_t length)
{
	struct nlattr attribute = { (uint16_t)(NLA_HDRLEN + length), type };
	uint8_t *at = (uint8_t *)message + message->header.nlmsg_len;

	memcpy(at, &attribute, sizeof(attribute));
	memcpy(at + NLA_HDRLEN, value, length);
	message->header.nlmsg_len += NLA_ALIGN(attribute.nla_len);
}

/* The number that the kernel has given the family, or 0. */
static inline uint16_t netlink_family(int fd, const char *name)
{
	struct netlink_message message;
	ssize_t got;
	uint16_t id;

	netlink_begin(&message, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	netlink_add(&message, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	if (send(fd, &message, message.header.nlmsg_len, 0) < 0)
		return 0;
	got = recv(fd, &message, sizeof(message), 0);
	if (got < (ssize_t)NLMSG_LENGTH(GENL_HDRLEN) || message.header.nlmsg_type != GENL_ID_CTRL)
		return 0;
	for (uint8_t *at = message.attributes; at + NLA_HDRLEN <= (uint8_t *)&message + got;) {
		struct nlattr attribute;

		memcpy(&attribute, at, sizeof(attribute));
		if (attribute.nla_type == CTRL_ATTR_FAMILY_ID) {
			memcpy(&id, at + NLA_HDRLEN, sizeof(id));
			return id;
		}
		at += NLA_ALIGN(attribute.nla_len);
	}
	return 0;
}

/* Where the module is loaded: otherwise, nonzero. */
static inline int netlink_return_open(struct netlink_return *netlink)
{
	netlink->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (netlink->fd < 0)
		return -1;
	netlink->family = netlink_family(netlink->fd, NETLINK_RETURN_FAMILY);
	return netlink->family == 0;
}

/* Sends the array of struct dmabuf_token; only what netlink itself refuses is told. */
static inline int netlink_return_send(const struct netlink_return *netlink, int fd,
				      const void *tokens, size_t length)
{
	uint32_t descriptor = (uint32_t)fd;
	struct netlink_message message;
	ssize_t sent;

	netlink_begin(&message, netlink->family, NETLINK_RETURN_CMD_RETURN);
	netlink_add(&message, NETLINK_RETURN_ATTR_SOCKET, &descriptor, sizeof(descriptor));
	netlink_add(&message, NETLINK_RETURN_ATTR_TOKENS, tokens, length);
	sent = send(netlink->fd, &message, message.header.nlmsg_len, 0);
	return sent == (ssize_t)message.header.nlmsg_len ? 0 : -1;
}

#endif
