/*
 * Queues of device memory from user space: the kernel's interface, version 1
 * (Documentation/networking/devmem-queue.rst of kernel/patches/linux-*-token-queue), and
 * the few operations on its rings.
 */
#ifndef TEST_LAB_SUPPORT_QUEUE_H
#define TEST_LAB_SUPPORT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* include/uapi/asm-generic/socket.h, include/linux/socket.h */
#define SO_DEVMEM_QUEUE 86
#define MSG_SOCK_DEVMEM 0x2000000

/* include/uapi/linux/devmem_queue.h */
#define DEVMEM_QUEUE_VERSION 1
#define DEVMEM_QUEUE_MAX_COUNT 1024
#define DEVMEM_QUEUE_FLUSH _IO(0xDE, 0)
#define DEVMEM_FRAGMENT_LINEAR 1U

struct queue_create {
	uint32_t version, flags, return_entries, fragment_entries;
	int32_t fd;
	uint32_t map_size, return_offset, fragment_offset;
};

struct queue_attach {
	int32_t fd;
	uint32_t cookie, flags;
};

struct queue_map {
	uint32_t version, return_entries, fragment_entries, reserved0[13];
	_Alignas(64) uint32_t return_producer;
	_Alignas(64) uint32_t return_consumer;
	uint32_t reserved2;
	uint64_t returned, return_invalid, return_unknown;
	_Alignas(64) uint32_t fragment_producer;
	uint32_t reserved4;
	uint64_t fragment_full;
	_Alignas(64) uint32_t fragment_consumer;
};

struct queue_return {
	uint32_t cookie, token_start, token_count, reserved;
};

struct queue_fragment {
	uint64_t offset;
	uint32_t size, token, dmabuf_id, cookie, flags, reserved;
};

_Static_assert(sizeof(struct queue_map) == 320, "as the kernel has it");
_Static_assert(sizeof(struct queue_return) == 16, "as the kernel has it");
_Static_assert(sizeof(struct queue_fragment) == 32, "as the kernel has it");

struct queue {
	int fd;
	size_t size;
	struct queue_map *map;
	struct queue_return *returns;
	const struct queue_fragment *fragments;
	/* The kernel keeps counts of its own, and so does who distrusts the mapping. */
	uint32_t return_head, return_mask, fragment_tail, fragment_mask;
};

static inline int queue_open(struct queue *queue, int tcp_socket, uint32_t return_entries,
			     uint32_t fragment_entries)
{
	struct queue_create create = {
		.version = DEVMEM_QUEUE_VERSION,
		.return_entries = return_entries,
		.fragment_entries = fragment_entries,
	};
	socklen_t length = sizeof(create);

	if (getsockopt(tcp_socket, SOL_SOCKET, SO_DEVMEM_QUEUE, &create, &length))
		return -1;
	memset(queue, 0, sizeof(*queue));
	queue->fd = create.fd;
	queue->size = create.map_size;
	queue->map = mmap(NULL, queue->size, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd, 0);
	if (queue->map == MAP_FAILED)
		return -1;
	queue->returns = (void *)((char *)queue->map + create.return_offset);
	queue->return_mask = return_entries - 1;
	queue->fragments = (void *)((char *)queue->map + create.fragment_offset);
	queue->fragment_mask = fragment_entries - 1;
	return 0;
}

static inline void queue_close(struct queue *queue)
{
	munmap(queue->map, queue->size);
	close(queue->fd);
}

static inline int queue_attach(int socket, int queue_fd, uint32_t cookie)
{
	struct queue_attach attach = { .fd = queue_fd, .cookie = cookie };

	return setsockopt(socket, SOL_SOCKET, SO_DEVMEM_QUEUE, &attach, sizeof(attach));
}

static inline int queue_detach(int socket)
{
	return queue_attach(socket, -1, 0);
}

static inline int queue_flush(const struct queue *queue)
{
	return ioctl(queue->fd, DEVMEM_QUEUE_FLUSH);
}

/* False where the ring is full. */
static inline bool queue_give_back(struct queue *queue, struct queue_return entry)
{
	/* Acquire: the entry is overwritten after the kernel has read it. */
	uint32_t consumed = __atomic_load_n(&queue->map->return_consumer, __ATOMIC_ACQUIRE);

	if (queue->return_head - consumed > queue->return_mask)
		return false;
	queue->returns[queue->return_head & queue->return_mask] = entry;
	/* Release: the kernel reads it after it has been written. */
	__atomic_store_n(&queue->map->return_producer, ++queue->return_head, __ATOMIC_RELEASE);
	return true;
}

/* False where there is none. */
static inline bool queue_next(struct queue *queue, struct queue_fragment *fragment)
{
	uint32_t produced = __atomic_load_n(&queue->map->fragment_producer, __ATOMIC_ACQUIRE);

	if (queue->fragment_tail == produced)
		return false;
	*fragment = queue->fragments[queue->fragment_tail & queue->fragment_mask];
	__atomic_store_n(&queue->map->fragment_consumer, ++queue->fragment_tail, __ATOMIC_RELEASE);
	return true;
}

#endif
