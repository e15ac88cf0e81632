/* What the programs that use a queue have in common: how they meet the other end. */
#ifndef TEST_LAB_SUPPORT_QUEUE_PROGRAM_H
#define TEST_LAB_SUPPORT_QUEUE_PROGRAM_H

#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Where they say, line by line, what they have to say. */
#define REPORT 4

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Says which port it is. */
static inline int listen_on(const char *address, int waiting)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	struct addrinfo *found;
	char port[8];
	int fd;

	if (getaddrinfo(address, "0", &hints, &found))
		fail(address);
	fd = socket(found->ai_family, found->ai_socktype, 0);
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, waiting))
		fail("listen");
	if (getsockname(fd, (struct sockaddr *)&name, &length) ||
	    getnameinfo((struct sockaddr *)&name, length, NULL, 0, port, sizeof(port),
			NI_NUMERICSERV))
		fail("getsockname");
	dprintf(REPORT, "{\"port\":%s}\n", port);
	return fd;
}

static inline struct addrinfo *find(const char *address, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *found;

	if (getaddrinfo(address, port, &hints, &found))
		fail(address);
	return found;
}

/* Connects a socket to source.c, and asks for a stream; or fails with -1. */
static inline int ask_for(int fd, const struct addrinfo *source, uint64_t seed)
{
	if (connect(fd, source->ai_addr, source->ai_addrlen) ||
	    send(fd, &seed, sizeof(seed), MSG_NOSIGNAL) != sizeof(seed))
		return -1;
	return 0;
}

#endif
