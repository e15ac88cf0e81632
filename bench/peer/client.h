/*
 * What the C programs of the benchmarks have in common: clocks, and connecting to
 * bench/peer/source.c.
 */
#ifndef BENCH_PEER_CLIENT_H
#define BENCH_PEER_CLIENT_H

#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* With so large a receive buffer, or by 0 the usual one: what the window can become is
 * decided when it connects. */
static inline int connect_with_room(const char *host, const char *port, int room)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int fd;

	if (getaddrinfo(host, port, &hints, &found))
		fail(host);
	fd = socket(found->ai_family, found->ai_socktype, 0);
	if (fd < 0)
		fail("socket");
	if (room > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		fail("SO_RCVBUFFORCE");
	if (connect(fd, found->ai_addr, found->ai_addrlen))
		fail("connect");
	freeaddrinfo(found);
	return fd;
}

static inline int connect_to(const char *host, const char *port)
{
	return connect_with_room(host, port, 0);
}

/* Connects, and asks for so many bytes. */
static inline int ask_for(const char *host, const char *port, uint64_t bytes)
{
	int fd = connect_to(host, port);

	if (send(fd, &bytes, sizeof(bytes), 0) != sizeof(bytes))
		fail("send");
	return fd;
}

#endif
