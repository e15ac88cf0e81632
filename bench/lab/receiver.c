/*
 * The reference of the devmem path: what the kernel's interface allows with nothing in
 * between. The same pattern of calls as the addon's: wait, recvmsg (again only where
 * it may have left something), look at each fragment, give all of them back at once.
 *
 *   receiver HOST PORT BYTES CONNECTIONS DMABUF_ID WAIT [LOW_WATER_MARK [HELD]]
 *
 * The memory is bound by whoever starts this. Asks for BYTES on each connection, reads
 * them all, and prints JSON: seconds from the first connection to the last byte, CPU
 * seconds (user, system), fragments, calls. WAIT is "epoll", or "block": recvmsg itself
 * waits then, for one connection. With LOW_WATER_MARK, in bytes, either waits for so many.
 * HELD bytes, of all connections, are held before the oldest are given back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../peer/client.h"
#include "devmem.h"
#include "held.h"
#include "sample.h"

#define MAX_EVENTS 64
#define LINEAR_SIZE (4 << 20)

static uint32_t dmabuf_id;
static char *linear;
static _Alignas(16) char control[CMSG_SPACE(sizeof(struct record)) * MAX_FRAGS];
/* What a consumer does with a fragment: it looks at where it is. */
static volatile uint64_t consumed;

static struct {
	struct range ranges[MAX_RANGES];
	uint32_t used, frags;
} batch;

static void give_back(int fd)
{
	if (batch.used == 0)
		return;
	counters.return_calls++;
	if (setsockopt(fd, SOL_SOCKET, DEVMEM_DONTNEED, batch.ranges,
		       (socklen_t)(batch.used * sizeof(struct range))) != (int)batch.frags)
		fail("SO_DEVMEM_DONTNEED");
	batch.used = 0;
	batch.frags = 0;
}

static void release(int fd, uint32_t token)
{
	struct range *last = batch.used > 0 ? &batch.ranges[batch.used - 1] : NULL;

	if (last && batch.frags < MAX_FRAGS && token == last->start + last->count) {
		last->count++;
	} else {
		if (batch.used == MAX_RANGES || batch.frags == MAX_FRAGS)
			give_back(fd);
		batch.ranges[batch.used++] = (struct range){ token, 1 };
	}
	batch.frags++;
}

static void take(int fd, const struct cmsghdr *message)
{
	struct record record;

	if (message->cmsg_level != SOL_SOCKET ||
	    (message->cmsg_type != DEVMEM_DMABUF && message->cmsg_type != DEVMEM_LINEAR))
		return;
	memcpy(&record, CMSG_DATA(message), sizeof(record));
	if (message->cmsg_type == DEVMEM_LINEAR) {
		counters.linear_bytes += record.size;
		return;
	}
	if (record.dmabuf_id != dmabuf_id) {
		fprintf(stderr, "fragment of another binding\n");
		exit(1);
	}
	counters.frags++;
	consumed += record.offset + record.size;
	hold((struct fragment){ record.token, record.size, fd });
}

/* Tokens are their socket's. */
static void release_oldest(void)
{
	struct fragment oldest;
	int fd = -1;

	while (next_to_give_back(&oldest)) {
		if (oldest.of != fd && fd != -1)
			give_back(fd);
		fd = oldest.of;
		release(fd, (uint32_t)oldest.what);
	}
	if (fd != -1)
		give_back(fd);
}

enum outcome { DRAINED, MORE, ENDED };

static enum outcome receive_once(int fd, int flags)
{
	struct iovec io = { linear, LINEAR_SIZE };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got;

	counters.receive_calls++;
	got = recvmsg(fd, &message, SOCK_DEVMEM | flags);
	if (got < 0 && errno == EAGAIN)
		return DRAINED;
	if (got < 0)
		fail("recvmsg");
	if (got == 0)
		return ENDED;
	counters.bytes += (uint64_t)got;
	if (message.msg_controllen == 0)
		counters.linear_bytes += (uint64_t)got;
	for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each;
	     each = CMSG_NXTHDR(&message, each))
		take(fd, each);
	/* With room to spare, that was all. */
	if ((size_t)got < LINEAR_SIZE &&
	    message.msg_controllen + CMSG_SPACE(sizeof(struct record)) <= sizeof(control))
		return DRAINED;
	return MORE;
}

static void receive_blocking(int fd)
{
	while (receive_once(fd, 0) != ENDED)
		release_oldest();
}

/* One wake's worth. False at the stream's end. */
static int receive_ready(int fd)
{
	uint64_t full = counters.frags + MAX_FRAGS;
	enum outcome outcome;

	counters.wakes++;
	do {
		outcome = receive_once(fd, MSG_DONTWAIT);
	} while (outcome == MORE && counters.frags < full);
	release_oldest();
	return outcome != ENDED;
}

static void receive_by_epoll(const int *fds, int count)
{
	struct epoll_event events[MAX_EVENTS];
	int epoll = epoll_create1(0);

	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event))
			fail("epoll_ctl");
	}
	for (int left = count; left > 0;) {
		int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);

		counters.wait_calls++;
		for (int i = 0; i < ready; i++) {
			if (receive_ready(events[i].data.fd))
				continue;
			/* What is held of it is given back by its descriptor. */
			epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
			left--;
		}
	}
}

static int connected(char **argv, uint64_t bytes, int low_water_mark)
{
	int fd = ask_for(argv[1], argv[2], bytes);

	if (low_water_mark > 1 && setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low_water_mark,
					     sizeof(low_water_mark)))
		fail("SO_RCVLOWAT");
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t bytes;
	int count, *fds;

	if (argc < 7 || argc > 9)
		return 64;
	hold_at_most(argc == 9 ? strtoull(argv[8], NULL, 10) : 0);
	bytes = strtoull(argv[3], NULL, 10);
	count = atoi(argv[4]);
	dmabuf_id = (uint32_t)strtoul(argv[5], NULL, 10);
	linear = mmap(NULL, LINEAR_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fds = calloc((size_t)count, sizeof(*fds));
	if (linear == MAP_FAILED || !fds)
		fail("memory");

	begin_sample();
	for (int i = 0; i < count; i++)
		fds[i] = connected(argv, bytes, argc > 7 ? atoi(argv[7]) : 1);
	if (strcmp(argv[6], "block") == 0 && count == 1)
		receive_blocking(fds[0]);
	else
		receive_by_epoll(fds, count);
	print_sample(counters.receive_calls + counters.return_calls + counters.wait_calls);
	return counters.bytes == bytes * (uint64_t)count ? 0 : 1;
}
