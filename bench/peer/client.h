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

static inline int connect_to(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int fd;

	if (getaddrinfo(host, port, &hints, &found))
		fail(host);
	fd = socket(found->ai_family, found->ai_socktype, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen))
		fail("connect");
	freeaddrinfo(found);
	return fd;
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
