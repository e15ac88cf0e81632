/*
 * Receives streams through a queue of device memory, in one of several ways.
 *
 *   receiver ADDRESS WAY BYTES
 *
 * File descriptor 3 is the memory that payload comes to. Says `{"port":…}` on 4 and waits
 * for a connection, or two for the way "two". Writes the stream to 5 (and the other to 6),
 * and says what came of it. Some ways do something special after so many bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

#include "program.h"
#include "queue.h"

#define MEMORY 3
#define FIRST_OUTPUT 5
#define CONNECTIONS 2

#define DEVMEM_LINEAR 78
#define DEVMEM_DMABUF 79
#define DEVMEM_DONTNEED 80
/* Kernel: ETOOSMALL, of a control buffer or a ring without room */
#define TOO_SMALL 525

#define ENTRIES 4096
#define FEW 4
#define MANY 200
#define BUFFER (1 << 20)
#define RECORDS 512

struct record {
	uint64_t offset;
	uint32_t size, token, dmabuf_id, flags;
};

static struct {
	uint64_t bytes, fragments, records, receive_calls, return_calls, flushes, too_small,
		bad, mixed, left;
} counters;

static struct connection {
	int fd;
	uint32_t cookie;
} connections[CONNECTIONS];

static struct queue queue;
/* What is to be given back next. */
static struct queue_return range;
static const char *memory, *way;
static char buffer[BUFFER];
static size_t linear;
static bool peeking;
static _Alignas(16) char control[CMSG_SPACE(sizeof(struct record)) * RECORDS];

static bool is(const char *name)
{
	return strcmp(way, name) == 0;
}

static void output(struct connection *connection, const char *bytes, size_t size)
{
	int fd = FIRST_OUTPUT + (int)(connection - connections);

	if (peeking)
		return;
	counters.bytes += size;
	while (size > 0) {
		ssize_t written = write(fd, bytes, size);

		if (written <= 0)
			fail("write");
		bytes += written;
		size -= (size_t)written;
	}
}

static void return_entry(struct queue_return entry)
{
	if (queue_give_back(&queue, entry))
		return;
	counters.flushes++;
	if (queue_flush(&queue) < 0 || !queue_give_back(&queue, entry))
		fail("flush");
}

/* What nobody should write, beside each entry that is right. */
static void return_nonsense(uint32_t cookie, uint32_t token)
{
	const struct queue_return nonsense[] = {
		{ cookie + 77, token, 1, 0 },
		{ cookie, token, 0, 0 },
		{ cookie, token, DEVMEM_QUEUE_MAX_COUNT + 1, 0 },
		{ cookie, token, UINT32_MAX, 0 },
		{ cookie, token, 1, 1 },
	};

	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		return_entry(nonsense[i]);
		counters.bad++;
	}
}

/* By a system call, as without a queue. */
static void return_token(const struct connection *connection, uint32_t token)
{
	uint32_t range[] = { token, 1 };

	counters.return_calls++;
	if (setsockopt(connection->fd, SOL_SOCKET, DEVMEM_DONTNEED, range, sizeof(range)) != 1)
		fail("SO_DEVMEM_DONTNEED");
}

/* Whoever is forked off has the queue as its parent has. */
static void return_by_child(struct queue_return entry)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		/* Its parent's last ones come back, too. */
		_exit(!queue_give_back(&queue, entry) || queue_flush(&queue) < 1);
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		fail("child");
	queue.return_head++;
}

/* Gives back what has not been, yet; has the socket leave the queue while another thread has
 * the kernel take up the ring, and come back. By then nothing is left of what was in the ring.
 */
static void detach_and_attach(const struct connection *connection)
{
	uint32_t all[] = { 0, DEVMEM_QUEUE_MAX_COUNT };
	int left;

	if (range.token_count > 0)
		return_entry(range);
	range.token_count = 0;
	if (queue_detach(connection->fd))
		fail("detach");
	left = setsockopt(connection->fd, SOL_SOCKET, DEVMEM_DONTNEED, all, sizeof(all));
	if (left < 0)
		fail("SO_DEVMEM_DONTNEED");
	counters.left += (uint64_t)left;
	if (queue_attach(connection->fd, queue.fd, connection->cookie))
		fail("attach");
}

static void return_in_ranges(struct queue_return entry)
{
	if (range.token_count > 0 && entry.token_start == range.token_start + range.token_count) {
		range.token_count++;
		return;
	}
	if (range.token_count > 0)
		return_entry(range);
	range = entry;
}

static void *flush_on(void *unused)
{
	(void)unused;
	for (;;)
		if (queue_flush(&queue) < 0)
			fail("flush");
	return NULL;
}

static void take(struct connection *connection, const struct record *record)
{
	struct queue_return entry = { connection->cookie, record->token, 1, 0 };

	counters.fragments++;
	output(connection, memory + record->offset, record->size);
	if (queue.map == NULL || is("dontneed")) {
		return_token(connection, record->token);
		return;
	}
	if (is("leave") && counters.fragments % 2 == 0)
		return;
	if (is("bad"))
		return_nonsense(connection->cookie, record->token);
	if (is("fork") && counters.fragments % 100 == 1)
		return_by_child(entry);
	else if (is("detach"))
		return_in_ranges(entry);
	else
		return_entry(entry);
}

static void take_linear(struct connection *connection, uint32_t size)
{
	output(connection, buffer + linear, size);
	linear += size;
}

static struct connection *by_cookie(uint32_t cookie)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (connections[i].cookie == cookie)
			return &connections[i];
	fprintf(stderr, "no connection has cookie %u\n", cookie);
	exit(1);
}

static bool take_fragments(const struct connection *reading)
{
	struct queue_fragment fragment;
	bool any = false;

	while (queue.map && queue.fragment_mask != UINT32_MAX && queue_next(&queue, &fragment)) {
		struct connection *connection = by_cookie(fragment.cookie);
		struct record record = { fragment.offset, fragment.size, fragment.token, 0, 0 };

		any = true;
		if (connection != reading)
			counters.mixed++;
		if (fragment.flags & DEVMEM_FRAGMENT_LINEAR)
			take_linear(connection, fragment.size);
		else
			take(connection, &record);
	}
	return any;
}

static bool take_records(struct connection *connection, struct msghdr *message)
{
	struct record record;
	bool any = false;

	for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each;
	     each = CMSG_NXTHDR(message, each)) {
		any = true;
		counters.records++;
		memcpy(&record, CMSG_DATA(each), sizeof(record));
		if (each->cmsg_type == DEVMEM_LINEAR)
			take_linear(connection, record.size);
		else
			take(connection, &record);
	}
	return any;
}

/* False where there is nothing more for now, or at all. */
static bool receive(struct connection *connection, int flags)
{
	struct iovec io = { buffer, BUFFER };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	bool told;
	ssize_t got;

	counters.receive_calls++;
	linear = 0;
	got = recvmsg(connection->fd, &message, MSG_SOCK_DEVMEM | MSG_DONTWAIT | flags);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got < 0 && errno == TOO_SMALL) {
		counters.too_small++;
		take_fragments(connection);
		return true;
	}
	if (got < 0)
		fail("recvmsg");
	if (got == 0) {
		take_fragments(connection);
		if (is("detach"))
			detach_and_attach(connection);
		close(connection->fd);
		connection->fd = -1;
		return false;
	}
	if (is("full") && counters.receive_calls % 3 == 0)
		return true;
	told = take_fragments(connection);
	told |= take_records(connection, &message);
	if (!told)
		output(connection, buffer, (size_t)got);
	if (is("detach") && range.token_count >= MANY)
		detach_and_attach(connection);
	return true;
}

/* What a way does at half of its stream. */
static void change(struct connection *connection)
{
	if (is("close")) {
		queue_close(&queue);
		queue.map = NULL;
	} else if (is("reattach")) {
		if (queue_detach(connection->fd) ||
		    queue_attach(connection->fd, queue.fd, ++connection->cookie))
			fail("reattach");
	} else if (is("leave")) {
		exit(0);
	} else if (is("peek")) {
		peeking = true;
		receive(connection, MSG_PEEK);
		peeking = false;
	}
}

static void receive_all(int count, uint64_t half)
{
	struct pollfd ready[CONNECTIONS];
	bool changed = false;

	for (int open = count; open > 0;) {
		for (int i = 0; i < count; i++)
			ready[i] = (struct pollfd){ connections[i].fd, POLLIN, 0 };
		poll(ready, (nfds_t)count, -1);
		open = 0;
		for (int i = 0; i < count; i++) {
			if (connections[i].fd >= 0 && ready[i].revents)
				while (receive(&connections[i], 0)) {
					if (changed || counters.bytes < half)
						continue;
					changed = true;
					change(&connections[i]);
				}
			open += connections[i].fd >= 0;
		}
	}
}

int main(int argc, char **argv)
{
	int listener, count;
	pthread_t thread;

	if (argc != 4)
		return 64;
	way = argv[2];
	count = is("two") ? 2 : 1;
	memory = mmap(NULL, (size_t)lseek(MEMORY, 0, SEEK_END), PROT_READ, MAP_SHARED, MEMORY, 0);
	if (memory == MAP_FAILED)
		fail("memory");
	listener = listen_on(argv[1], CONNECTIONS);
	if (queue_open(&queue, listener, ENTRIES,
		       is("returns") || is("dontneed") ? 0 : is("full") ? FEW : ENTRIES))
		fail("queue");
	for (int i = 0; i < count; i++) {
		connections[i] = (struct connection){ accept(listener, NULL, NULL), 10U * (i + 1) };
		if (queue_attach(connections[i].fd, queue.fd, connections[i].cookie))
			fail("attach");
	}
	if (is("detach") && pthread_create(&thread, NULL, flush_on, NULL))
		fail("thread");
	receive_all(count, strtoull(argv[3], NULL, 10));
	dprintf(REPORT,
		"{\"outcome\":{\"bytes\":%llu,\"fragments\":%llu,\"records\":%llu,"
		"\"receiveCalls\":%llu,\"returnCalls\":%llu,\"flushes\":%llu,\"tooSmall\":%llu,"
		"\"bad\":%llu,\"mixed\":%llu,\"returned\":%llu,\"invalid\":%llu,\"unknown\":%llu,"
		"\"full\":%llu,\"left\":%llu}}\n",
		(unsigned long long)counters.bytes, (unsigned long long)counters.fragments,
		(unsigned long long)counters.records, (unsigned long long)counters.receive_calls,
		(unsigned long long)counters.return_calls, (unsigned long long)counters.flushes,
		(unsigned long long)counters.too_small, (unsigned long long)counters.bad,
		(unsigned long long)counters.mixed,
		(unsigned long long)(queue.map ? queue.map->returned : 0),
		(unsigned long long)(queue.map ? queue.map->return_invalid : 0),
		(unsigned long long)(queue.map ? queue.map->return_unknown : 0),
		(unsigned long long)(queue.map ? queue.map->fragment_full : 0),
		(unsigned long long)counters.left);
	return 0;
}
