/*
 * The reference of the copy transport: recv into a buffer of the same size, over and over.
 * TCP answers each call with an acknowledgement, which over loopback is handled here and
 * now, the sender's part in it included: few calls that take much cost the least.
 *
 *   recv HOST PORT BYTES CONNECTIONS BUFFER [TARGET]
 *
 * With a TARGET one connection is read into that many bytes, one behind the other, which
 * are filled over and over; and by no more than BUFFER bytes a call.
 *
 * Asks for BYTES on each connection, reads them all, and prints JSON: seconds from the
 * first byte to the last, CPU seconds (user, system), calls. One connection is read by
 * blocking calls, several by epoll.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../peer/client.h"

#define MAX_EVENTS 64
/* After a read of this much, more may have come meanwhile. */
#define BULK (16 << 10)

static uint64_t calls;
static char *buffer;
static size_t size;

static uint64_t fill(int fd, size_t target)
{
	uint64_t total = 0;
	size_t at = 0;
	ssize_t got;

	do {
		size_t left = target - at;

		calls++;
		got = recv(fd, buffer + at, left < size ? left : size, 0);
		if (got < 0)
			fail("recv");
		total += (uint64_t)got;
		at = (at + (size_t)got) % target;
	} while (got > 0);
	return total;
}

static uint64_t read_one(int fd)
{
	uint64_t total = 0;
	ssize_t got;

	do {
		calls++;
		got = recv(fd, buffer, size, 0);
		if (got < 0)
			fail("recv");
		total += (uint64_t)got;
	} while (got > 0);
	return total;
}

/* What is there, about a buffer's worth before others have their turn. False at the
 * stream's end. */
static int read_some(int fd, uint64_t *total)
{
	for (uint64_t copied = 0; copied < size;) {
		ssize_t got;

		calls++;
		got = recv(fd, buffer, size, MSG_DONTWAIT);
		if (got < 0 && errno == EAGAIN)
			return 1;
		if (got < 0)
			fail("recv");
		if (got == 0)
			return 0;
		copied += (uint64_t)got;
		*total += (uint64_t)got;
		/* A short read drained the socket. */
		if ((size_t)got < size && got < BULK)
			return 1;
	}
	return 1;
}

static uint64_t read_many(const int *fds, int count)
{
	struct epoll_event events[MAX_EVENTS];
	int epoll = epoll_create1(0);
	uint64_t total = 0;

	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event))
			fail("epoll_ctl");
	}
	for (int left = count; left > 0;) {
		int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);

		calls++;
		for (int i = 0; i < ready; i++) {
			if (read_some(events[i].data.fd, &total))
				continue;
			close(events[i].data.fd);
			left--;
		}
	}
	return total;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	uint64_t bytes, total;
	size_t target;
	double start, end;
	int count, *fds;
	char *memory;

	if (argc != 6 && argc != 7)
		return 64;
	bytes = strtoull(argv[3], NULL, 10);
	count = atoi(argv[4]);
	size = strtoull(argv[5], NULL, 10);
	target = argc == 7 ? strtoull(argv[6], NULL, 10) : 0;
	/* Of the same kind as the copy transport's memory. */
	memory = mmap(NULL, target ? target : size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
		      -1, 0);
	fds = calloc((size_t)count, sizeof(*fds));
	if (memory == MAP_FAILED || !fds)
		fail("memory");
	buffer = memory;
	start = now();
	for (int i = 0; i < count; i++)
		fds[i] = ask_for(argv[1], argv[2], bytes);
	if (target)
		total = fill(fds[0], target);
	else
		total = count == 1 ? read_one(fds[0]) : read_many(fds, count);
	end = now();
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"bytes\":%llu,\"seconds\":%.6f,\"user\":%.6f,\"system\":%.6f,\"calls\":%llu}\n",
	       (unsigned long long)total, end - start, seconds(usage.ru_utime),
	       seconds(usage.ru_stime), (unsigned long long)calls);
	return total == bytes * (uint64_t)count ? 0 : 1;
}
