/*
 * Receives two streams of source.c as programs should: of one it is told by control messages,
 * of the other by a queue of its own. Fragments are held for a while, and have to be what they
 * were when they came; each is given back by itself, and has to be still there for that.
 *
 *   bystander ADDRESS PORT SEED
 *
 * File descriptor 3 is the memory that payload comes to. Goes on until its standard input
 * ends, and says on 4 what came of it; or fails with the first thing that must not be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>

#include "program.h"
#include "queue.h"
#include "stream.h"

#define MEMORY 3

#define DEVMEM_LINEAR 78
#define DEVMEM_DONTNEED 80
/* Kernel: ETOOSMALL */
#define TOO_SMALL 525

#define ENTRIES 1024
#define HELD 96
#define BUFFER (256 << 10)
#define RECORDS 128
#define STREAMS 2
/* As the scribbler has it, whose queues are others. */
#define COOKIE 1

struct record {
	uint64_t offset;
	uint32_t size, token, dmabuf_id, flags;
};

struct piece {
	uint64_t position, offset;
	uint32_t size, token;
};

static struct stream {
	const char *name;
	int fd;
	bool queued;
	uint64_t seed, position, fragments;
	struct piece held[HELD];
	unsigned int count, oldest;
} streams[STREAMS] = { { .name = "cmsg" }, { .name = "queue", .queued = true } };

static struct queue queue;
static const char *memory;
static char buffer[BUFFER];
static size_t linear;
static _Alignas(16) char control[CMSG_SPACE(sizeof(struct record)) * RECORDS];

static void complain(const struct stream *stream, const char *what, uint64_t position)
{
	fprintf(stderr, "bystander: %s at %llu of the stream by %s\n", what,
		(unsigned long long)position, stream->name);
	exit(1);
}

static void check(const struct stream *stream, const struct piece *piece, const char *what)
{
	if (!stream_is(stream->seed, piece->position, memory + piece->offset, piece->size))
		complain(stream, what, piece->position);
}

static void give_back(const struct stream *stream, const struct piece *piece)
{
	const struct queue_return entry = { COOKIE, piece->token, 1, 0 };
	uint32_t range[] = { piece->token, 1 };

	if (!stream->queued) {
		if (setsockopt(stream->fd, SOL_SOCKET, DEVMEM_DONTNEED, range, sizeof(range)) != 1)
			complain(stream, "a fragment is gone", piece->position);
	} else if (!queue_give_back(&queue, entry)) {
		if (queue_flush(&queue) < 0 || !queue_give_back(&queue, entry))
			complain(stream, "no room to give back", piece->position);
	}
}

static void release_oldest(struct stream *stream)
{
	const struct piece *piece = &stream->held[stream->oldest % HELD];

	check(stream, piece, "wrong bytes in what was held");
	give_back(stream, piece);
	stream->oldest++;
	stream->count--;
}

static void take(struct stream *stream, uint64_t offset, uint32_t size, uint32_t token)
{
	const struct piece piece = { stream->position, offset, size, token };

	check(stream, &piece, "wrong bytes");
	if (stream->count == HELD)
		release_oldest(stream);
	stream->held[(stream->oldest + stream->count++) % HELD] = piece;
	stream->position += size;
	stream->fragments++;
}

static void take_linear(struct stream *stream, size_t size)
{
	if (!stream_is(stream->seed, stream->position, buffer + linear, size))
		complain(stream, "wrong linear bytes", stream->position);
	stream->position += size;
	linear += size;
}

static void take_fragments(struct stream *stream)
{
	struct queue_fragment fragment;

	while (queue_next(&queue, &fragment)) {
		if (!stream->queued || fragment.cookie != COOKIE)
			complain(stream, "a foreign fragment", stream->position);
		if (fragment.flags & DEVMEM_FRAGMENT_LINEAR)
			take_linear(stream, fragment.size);
		else
			take(stream, fragment.offset, fragment.size, fragment.token);
	}
}

static void take_records(struct stream *stream, struct msghdr *message)
{
	struct record record;

	for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each;
	     each = CMSG_NXTHDR(message, each)) {
		if (stream->queued)
			complain(stream, "a control message", stream->position);
		memcpy(&record, CMSG_DATA(each), sizeof(record));
		if (each->cmsg_type == DEVMEM_LINEAR)
			take_linear(stream, record.size);
		else
			take(stream, record.offset, record.size, record.token);
	}
}

static void receive(struct stream *stream)
{
	struct iovec io = { buffer, BUFFER };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	uint64_t before = stream->position;
	ssize_t got = recvmsg(stream->fd, &message, MSG_SOCK_DEVMEM | MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == TOO_SMALL))
		return;
	if (got < 0)
		fail("bystander: recvmsg");
	if (got == 0)
		complain(stream, "an end", stream->position);
	linear = 0;
	take_fragments(stream);
	take_records(stream, &message);
	if (stream->position == before)
		take_linear(stream, (size_t)got);
	if (stream->position - before != (uint64_t)got)
		complain(stream, "bytes are missing", stream->position);
}

/* The kernel's own counts of what came back by the ring. */
static void finish(void)
{
	for (int i = 0; i < STREAMS; i++)
		while (streams[i].count > 0)
			release_oldest(&streams[i]);
	if (queue_flush(&queue) < 0)
		fail("bystander: flush");
	dprintf(REPORT,
		"{\"outcome\":{\"cmsgBytes\":%llu,\"queueBytes\":%llu,\"queueFragments\":%llu,"
		"\"returned\":%llu,\"invalid\":%llu,\"unknown\":%llu}}\n",
		(unsigned long long)streams[0].position, (unsigned long long)streams[1].position,
		(unsigned long long)streams[1].fragments, (unsigned long long)queue.map->returned,
		(unsigned long long)queue.map->return_invalid,
		(unsigned long long)queue.map->return_unknown);
}

int main(int argc, char **argv)
{
	struct pollfd ready[STREAMS + 1] = { { STDIN_FILENO, POLLIN, 0 } };
	const struct addrinfo *source;

	if (argc != 4)
		return 64;
	source = find(argv[1], argv[2]);
	memory = mmap(NULL, (size_t)lseek(MEMORY, 0, SEEK_END), PROT_READ, MAP_SHARED, MEMORY, 0);
	if (memory == MAP_FAILED)
		fail("bystander: memory");
	for (int i = 0; i < STREAMS; i++) {
		struct stream *stream = &streams[i];

		stream->fd = socket(source->ai_family, SOCK_STREAM, 0);
		stream->seed = strtoull(argv[3], NULL, 10) + (uint64_t)i;
		if (stream->queued && (queue_open(&queue, stream->fd, ENTRIES, ENTRIES) ||
				       queue_attach(stream->fd, queue.fd, COOKIE)))
			fail("bystander: queue");
		if (ask_for(stream->fd, source, stream->seed))
			fail("bystander: connect");
		ready[i + 1] = (struct pollfd){ stream->fd, POLLIN, 0 };
	}
	dprintf(REPORT, "{\"ready\":true}\n");
	while (poll(ready, STREAMS + 1, -1) >= 0 && !ready[0].revents)
		for (int i = 0; i < STREAMS; i++)
			if (ready[i + 1].revents)
				receive(&streams[i]);
	finish();
	return 0;
}
