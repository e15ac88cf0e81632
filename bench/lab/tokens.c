/*
 * What a fragment costs by each way of telling of it and of giving it back. Waits until a
 * whole stream lies in the socket's receive queue, so that nothing but this runs, and then
 * reads it, looks at each fragment, and gives all of a call's fragments back.
 *
 *   tokens HOST PORT BYTES WAY MOST
 *
 * WAY is "cmsg" (control messages, SO_DEVMEM_DONTNEED), "netlink" (control messages, the
 * experiment of netlink-return), "returns" (control messages, a ring to give back by) or
 * "rings" (that, and a ring of fragments). Each call receives MOST bytes. Prints JSON: fragments, system calls, and
 * nanoseconds of receiving, of looking, and of giving back. With a ring the latter is what
 * user space does; the kernel's part is one of receiving. In a guest of the lab that counts
 * instructions, a nanosecond is one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "../../test/lab/support/queue/queue.h"
#include "../peer/client.h"
#include "devmem.h"
#include "netlink-return/client.h"

#define RECORDS 1024
#define ENTRIES 4096
#define BUFFER (1 << 20)
#define ROOM (128 << 20)
#define COOKIE 1

static struct {
	uint64_t bytes, fragments, receive_calls, return_calls, receiving, looking, returning;
} counters;

static struct queue queue;
static struct netlink_return netlink = { .fd = -1 };
static char buffer[BUFFER];
static _Alignas(16) char control[CMSG_SPACE(sizeof(struct record)) * RECORDS];
static struct range ranges[MAX_RANGES];
static uint32_t used, last_used;
static size_t most;
static volatile uint64_t consumed;

static uint64_t nanoseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Fragments follow each other by their tokens, mostly. */
static void take(uint64_t offset, uint32_t size, uint32_t token)
{
	struct range *last = used > 0 ? &ranges[used - 1] : NULL;

	counters.fragments++;
	consumed += offset + size;
	if (last && token == last->start + last->count)
		last->count++;
	else if (used < MAX_RANGES)
		ranges[used++] = (struct range){ token, 1 };
	else
		fail("too many ranges");
}

static void take_records(struct msghdr *message)
{
	struct record record;

	for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each;
	     each = CMSG_NXTHDR(message, each)) {
		memcpy(&record, CMSG_DATA(each), sizeof(record));
		if (each->cmsg_type == DEVMEM_DMABUF)
			take(record.offset, record.size, record.token);
	}
}

static void take_fragments(void)
{
	struct queue_fragment fragment;

	while (queue_next(&queue, &fragment))
		if (!(fragment.flags & DEVMEM_FRAGMENT_LINEAR))
			take(fragment.offset, fragment.size, fragment.token);
}

static void give_back_by_call(int fd)
{
	size_t length = used * sizeof(*ranges);

	counters.return_calls++;
	if (netlink.fd >= 0) {
		if (netlink_return_send(&netlink, fd, ranges, length))
			fail("netlink");
	} else if (setsockopt(fd, SOL_SOCKET, DEVMEM_DONTNEED, ranges, (socklen_t)length) < 0) {
		fail("SO_DEVMEM_DONTNEED");
	}
}

static void give_back(int fd)
{
	if (used == 0)
		return;
	if (!queue.map)
		give_back_by_call(fd);
	for (uint32_t i = 0; queue.map && i < used; i++)
		if (!queue_give_back(&queue, (struct queue_return){ COOKIE, ranges[i].start,
								    ranges[i].count, 0 }))
			fail("the ring is full");
	last_used = used;
	used = 0;
}

/* Netlink says nothing of it: what has come back is there no more. */
static void check_returned(int fd)
{
	size_t length = last_used * sizeof(*ranges);

	if (netlink.fd >= 0 &&
	    setsockopt(fd, SOL_SOCKET, DEVMEM_DONTNEED, ranges, (socklen_t)length) != 0)
		fail("netlink has returned nothing");
}

static void open_way(const char *way, int fd)
{
	int rings = strcmp(way, "rings") == 0;

	if (strcmp(way, "cmsg") == 0)
		return;
	if (strcmp(way, "netlink") == 0) {
		if (netlink_return_open(&netlink))
			fail("netlink");
	} else if (queue_open(&queue, fd, ENTRIES, rings ? ENTRIES : 0) ||
		   queue_attach(fd, queue.fd, COOKIE)) {
		fail("queue");
	}
}

/* False at the end of the stream. */
static int receive(int fd, int rings)
{
	struct iovec io = { buffer, most };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	uint64_t before = nanoseconds(), received, looked;
	ssize_t got = recvmsg(fd, &message, MSG_SOCK_DEVMEM | MSG_DONTWAIT);

	received = nanoseconds();
	if (got < 0)
		fail("recvmsg");
	if (got == 0)
		return 0;
	if (rings)
		take_fragments();
	else
		take_records(&message);
	looked = nanoseconds();
	give_back(fd);
	counters.returning += nanoseconds() - looked;
	counters.receiving += received - before;
	counters.looking += looked - received;
	counters.receive_calls++;
	counters.bytes += (uint64_t)got;
	return 1;
}

/* Until all has come, or no more comes: the window may be smaller. An acknowledgement may be
 * delayed for 200 ms. */
static int wait_for(int fd, uint64_t bytes)
{
	struct timespec nap = { 0, 300000000 };
	int before = -1, have = 0;

	while ((uint64_t)have < bytes && (have == 0 || have != before)) {
		before = have;
		nanosleep(&nap, NULL);
		if (ioctl(fd, FIONREAD, &have))
			fail("FIONREAD");
	}
	return have;
}

int main(int argc, char **argv)
{
	uint64_t bytes;
	int fd, rings;

	if (argc != 6)
		return 64;
	most = strtoull(argv[5], NULL, 10);
	if (most == 0 || most > BUFFER)
		return 64;
	bytes = strtoull(argv[3], NULL, 10);
	rings = strcmp(argv[4], "rings") == 0;
	fd = connect_with_room(argv[1], argv[2], ROOM);
	if (send(fd, &bytes, sizeof(bytes), 0) != sizeof(bytes))
		fail("send");
	open_way(argv[4], fd);
	bytes = (uint64_t)wait_for(fd, bytes);
	while (counters.bytes < bytes && receive(fd, rings))
		;
	check_returned(fd);
	printf("{\"bytes\":%llu,\"fragments\":%llu,\"receiveCalls\":%llu,\"returnCalls\":%llu,"
	       "\"receiving\":%llu,\"looking\":%llu,\"returning\":%llu}\n",
	       (unsigned long long)counters.bytes, (unsigned long long)counters.fragments,
	       (unsigned long long)counters.receive_calls,
	       (unsigned long long)counters.return_calls,
	       (unsigned long long)counters.receiving, (unsigned long long)counters.looking,
	       (unsigned long long)counters.returning);
	return 0;
}
