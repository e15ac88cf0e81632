/*
 * Stands in for the kernel's devmem receive path (LD_PRELOAD), at no cost worth
 * mentioning: what is left to measure is the addon, the event loop and JavaScript.
 *
 * recvmsg(MSG_SOCK_DEVMEM) gives $BENCH_BATCH fragments of 4 KiB at a time, and EAGAIN
 * to who asks again since there was no room for more; after $BENCH_FRAGS of them the
 * stream ends, and the descriptor may be used for another. SO_DEVMEM_DONTNEED says that
 * it freed all that it was given.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SOCK_DEVMEM 0x2000000
#define DEVMEM_DMABUF 79
#define DEVMEM_DONTNEED 80
#define PAGE 4096
#define MAX_BATCH 1024
#define MAX_SOCKETS 4096

struct record {
	struct cmsghdr header;
	uint64_t offset;
	uint32_t size, token, dmabuf_id, flags;
};

struct range {
	uint32_t start, count;
};

static ssize_t (*next_recvmsg)(int, struct msghdr *, int);
static int (*next_setsockopt)(int, int, int, const void *, socklen_t);
static struct record records[MAX_BATCH];
static uint64_t frags, batch;

static struct {
	uint64_t given;
	int dry;
} sockets[MAX_SOCKETS];

static uint64_t number(const char *name, uint64_t most)
{
	const char *text = getenv(name);
	uint64_t value = text ? strtoull(text, NULL, 10) : 0;

	return value && value <= most ? value : most;
}

__attribute__((constructor)) static void start(void)
{
	next_recvmsg = (ssize_t (*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
	next_setsockopt = (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT,
										"setsockopt");
	batch = number("BENCH_BATCH", MAX_BATCH);
	frags = number("BENCH_FRAGS", UINT64_MAX);
	for (uint32_t i = 0; i < MAX_BATCH; i++)
		records[i] = (struct record){
			.header = { CMSG_LEN(24), SOL_SOCKET, DEVMEM_DMABUF },
			.offset = (uint64_t)i * PAGE,
			.size = PAGE,
			.token = i + 1,
			.dmabuf_id = 1,
		};
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	uint64_t count = batch, room;

	if (!(flags & SOCK_DEVMEM) || fd < 0 || fd >= MAX_SOCKETS)
		return next_recvmsg(fd, message, flags);
	if (sockets[fd].given >= frags) {
		sockets[fd].given = 0;
		sockets[fd].dry = 0;
		return 0;
	}
	if (sockets[fd].dry) {
		sockets[fd].dry = 0;
		errno = EAGAIN;
		return -1;
	}
	room = message->msg_controllen / sizeof(struct record);
	if (count > room)
		count = room;
	if (count > message->msg_iov->iov_len / PAGE)
		count = message->msg_iov->iov_len / PAGE;
	memcpy(message->msg_control, records, count * sizeof(struct record));
	message->msg_controllen = count * sizeof(struct record);
	sockets[fd].given += count;
	sockets[fd].dry = count == room;
	return (ssize_t)(count * PAGE);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	const struct range *ranges = value;
	uint32_t freed = 0;

	if (level != SOL_SOCKET || name != DEVMEM_DONTNEED || length % sizeof(*ranges))
		return next_setsockopt(fd, level, name, value, length);
	for (size_t i = 0; i < length / sizeof(*ranges); i++)
		freed += ranges[i].count;
	return (int)freed;
}
