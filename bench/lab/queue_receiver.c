/*
 * The reference of receiving by a queue of device memory (kernel/patches/
 * linux-7-token-queue): fragments come by its one ring, and go back by the other. One queue
 * serves all sockets. The same pattern of calls as receiver.c's otherwise.
 *
 *   queue_receiver HOST PORT BYTES CONNECTIONS DMABUF_ID HELD
 *
 * The memory is bound by whoever starts this. Asks for BYTES on each connection, reads them
 * all, holds HELD bytes of all connections before it gives the oldest back, and prints JSON
 * as receiver.c does.
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

#include "../../test/lab/support/queue/queue.h"
#include "../peer/client.h"
#include "held.h"
#include "sample.h"

#define MAX_EVENTS 64
#define LINEAR_SIZE (4 << 20)
#define ENTRIES 4096

static uint32_t dmabuf_id;
static char *linear;
static struct queue queue;
/* Whether the kernel has not been back since something was given back. */
static bool pending;
/* What a consumer does with a fragment: it looks at where it is. */
static volatile uint64_t consumed;

static void flush(void)
{
	counters.return_calls++;
	if (queue_flush(&queue) < 0)
		fail("DEVMEM_QUEUE_FLUSH");
	pending = false;
}

static void give_back(struct queue_return *range)
{
	if (range->token_count == 0)
		return;
	while (!queue_give_back(&queue, *range))
		flush();
	pending = true;
	range->token_count = 0;
}

/* Neighbouring tokens of a socket by one entry. */
static void release_oldest(void)
{
	struct queue_return range = { 0 };
	struct fragment oldest;

	while (next_to_give_back(&oldest)) {
		const uint32_t token = (uint32_t)oldest.what;

		if (range.token_count > 0 && range.token_count < DEVMEM_QUEUE_MAX_COUNT &&
		    range.cookie == (uint32_t)oldest.of &&
		    token == range.token_start + range.token_count) {
			range.token_count++;
			continue;
		}
		give_back(&range);
		range = (struct queue_return){ (uint32_t)oldest.of, token, 1, 0 };
	}
	give_back(&range);
}

static void take_fragments(void)
{
	struct queue_fragment fragment;

	while (queue_next(&queue, &fragment)) {
		if (fragment.flags & DEVMEM_FRAGMENT_LINEAR) {
			counters.linear_bytes += fragment.size;
			continue;
		}
		if (fragment.dmabuf_id != dmabuf_id) {
			fprintf(stderr, "fragment of another binding\n");
			exit(1);
		}
		counters.frags++;
		consumed += fragment.offset + fragment.size;
		hold((struct fragment){ fragment.token, fragment.size, (int)fragment.cookie });
	}
}

/* One wake's worth: until the socket has no more, so that the last call takes up what was
 * given back before it. False at the stream's end. */
static bool receive_ready(int fd)
{
	struct iovec io = { linear, LINEAR_SIZE };
	uint64_t full = counters.frags + ENTRIES;
	ssize_t got;

	counters.wakes++;
	do {
		struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };

		counters.receive_calls++;
		got = recvmsg(fd, &message, MSG_SOCK_DEVMEM | MSG_DONTWAIT);
		if (got < 0 && errno != EAGAIN)
			fail("recvmsg");
		if (got > 0)
			counters.bytes += (uint64_t)got;
		pending = false;
		take_fragments();
		release_oldest();
	} while (got > 0 && counters.frags < full);
	return got != 0;
}

static void receive(const int *fds, int count)
{
	struct epoll_event events[MAX_EVENTS];
	int epoll = epoll_create1(0);

	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event))
			fail("epoll_ctl");
	}
	for (int left = count; left > 0;) {
		int ready;

		/* Whoever waits has nothing to say: the NIC may be out of memory. */
		if (pending)
			flush();
		ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
		counters.wait_calls++;
		for (int i = 0; i < ready; i++) {
			if (receive_ready(events[i].data.fd))
				continue;
			epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
			left--;
		}
	}
}

/* The first socket makes the queue. */
static void attach(int fd, uint32_t cookie)
{
	if (!queue.map && queue_open(&queue, fd, ENTRIES, ENTRIES))
		fail("SO_DEVMEM_QUEUE");
	if (queue_attach(fd, queue.fd, cookie))
		fail("attaching");
}

int main(int argc, char **argv)
{
	uint64_t bytes;
	int count, *fds;

	if (argc != 7)
		return 64;
	hold_at_most(strtoull(argv[6], NULL, 10));
	bytes = strtoull(argv[3], NULL, 10);
	count = atoi(argv[4]);
	dmabuf_id = (uint32_t)strtoul(argv[5], NULL, 10);
	linear = mmap(NULL, LINEAR_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fds = calloc((size_t)count, sizeof(*fds));
	if (linear == MAP_FAILED || !fds)
		fail("memory");

	begin_sample();
	for (int i = 0; i < count; i++) {
		fds[i] = ask_for(argv[1], argv[2], bytes);
		attach(fds[i], (uint32_t)i + 1);
	}
	receive(fds, count);
	print_sample(counters.receive_calls + counters.return_calls + counters.wait_calls);
	return counters.bytes == bytes * (uint64_t)count ? 0 : 1;
}
