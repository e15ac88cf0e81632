/*
 * An io_uring that receives into one rx queue's memory, by system calls alone: what of
 * include/uapi/linux/io_uring.h and io_uring/zcrx.h (Linux 7.3) older headers lack, the
 * rings, and giving back.
 */
#ifndef BENCH_LAB_ZCRX_H
#define BENCH_LAB_ZCRX_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../peer/client.h"

#define OP_RECV_ZC 58
#define RECV_MULTISHOT 2
#define SETUP_NO_SQARRAY (1 << 16)
#define REGISTER_ZCRX_IFQ 32
#define REGISTER_ZCRX_CTRL 36
#define OFFSET_MASK ((UINT64_C(1) << 48) - 1)

#define SUBMISSIONS 256
#define COMPLETIONS 1024
#define REFILLS 32768
#define REFILL_HEADER 4096

struct zcrx_rqe {
	uint64_t off;
	uint32_t len, pad;
};

struct zcrx_area {
	uint64_t addr, len, rq_area_token;
	uint32_t flags, dmabuf_fd;
	uint64_t resv[2];
};

struct zcrx_region {
	uint64_t user_addr, size;
	uint32_t flags, id;
	uint64_t mmap_offset, resv[4];
};

struct zcrx_ifq {
	uint32_t if_idx, if_rxq, rq_entries, flags;
	uint64_t area_ptr, region_ptr;
	struct {
		uint32_t head, tail, rqes, resv2;
		uint64_t resv[2];
	} offsets;
	uint32_t zcrx_id, rx_buf_len;
	uint64_t event_desc, resv[2];
};

struct zcrx_control {
	uint32_t zcrx_id, op;
	uint64_t resv[2], arguments[6];
};

/* With IORING_SETUP_CQE32. */
struct zcrx_completion {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
	uint64_t off, pad;
};

static struct {
	int fd;
	uint32_t id;
	struct io_uring_sqe *sqes;
	uint32_t *sq_tail, sq_submitted;
	struct zcrx_completion *cqes;
	uint32_t *cq_head, *cq_tail;
	struct zcrx_rqe *rqes;
	uint32_t *rq_head, *rq_tail, rq_next;
	uint64_t area_token;
} zcrx;

static inline void *zcrx_map(size_t size, int fd, off_t offset)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, offset);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

static inline void zcrx_open_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | SETUP_NO_SQARRAY,
		.cq_entries = COMPLETIONS,
	};
	uint8_t *rings;

	zcrx.fd = (int)syscall(__NR_io_uring_setup, SUBMISSIONS, &params);
	if (zcrx.fd < 0)
		fail("io_uring_setup");
	rings = zcrx_map(params.cq_off.cqes + COMPLETIONS * sizeof(*zcrx.cqes), zcrx.fd,
			 IORING_OFF_SQ_RING);
	zcrx.sqes = zcrx_map(SUBMISSIONS * sizeof(*zcrx.sqes), zcrx.fd, IORING_OFF_SQES);
	zcrx.sq_tail = (uint32_t *)(rings + params.sq_off.tail);
	zcrx.cqes = (struct zcrx_completion *)(rings + params.cq_off.cqes);
	zcrx.cq_head = (uint32_t *)(rings + params.cq_off.head);
	zcrx.cq_tail = (uint32_t *)(rings + params.cq_off.tail);
}

static inline void zcrx_open(uint32_t interface, uint32_t queue, int dmabuf, uint64_t size)
{
	const size_t region_size = REFILL_HEADER + REFILLS * sizeof(*zcrx.rqes);
	uint8_t *memory = zcrx_map(region_size, -1, 0);
	struct zcrx_region region = {
		.user_addr = (uintptr_t)memory, .size = region_size, .flags = 1
	};
	struct zcrx_area area = { .len = size, .flags = 1, .dmabuf_fd = (uint32_t)dmabuf };
	struct zcrx_ifq ifq = {
		.if_idx = interface,
		.if_rxq = queue,
		.rq_entries = REFILLS,
		.area_ptr = (uintptr_t)&area,
		.region_ptr = (uintptr_t)&region,
	};

	zcrx_open_ring();
	if (syscall(__NR_io_uring_register, zcrx.fd, REGISTER_ZCRX_IFQ, &ifq, 1))
		fail("io_uring_register(ZCRX_IFQ)");
	zcrx.id = ifq.zcrx_id;
	zcrx.rqes = (struct zcrx_rqe *)(memory + ifq.offsets.rqes);
	zcrx.rq_head = (uint32_t *)(memory + ifq.offsets.head);
	zcrx.rq_tail = (uint32_t *)(memory + ifq.offsets.tail);
	zcrx.area_token = area.rq_area_token;
}

/* Asks for all that comes for a socket. */
static inline void zcrx_receive(int socket, uint64_t user_data)
{
	struct io_uring_sqe *sqe = &zcrx.sqes[*zcrx.sq_tail & (SUBMISSIONS - 1)];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = OP_RECV_ZC;
	sqe->ioprio = RECV_MULTISHOT;
	sqe->fd = socket;
	sqe->file_index = zcrx.id;
	sqe->user_data = user_data;
	__atomic_store_n(zcrx.sq_tail, *zcrx.sq_tail + 1, __ATOMIC_RELEASE);
}

/* Submits, and waits for something. */
static inline void zcrx_enter(void)
{
	const uint32_t count = *zcrx.sq_tail - zcrx.sq_submitted;
	const long got = syscall(__NR_io_uring_enter, zcrx.fd, count, 1, IORING_ENTER_GETEVENTS,
				 NULL, 0);

	if (got < 0 && errno != EINTR)
		fail("io_uring_enter");
	if (got > 0)
		zcrx.sq_submitted += (uint32_t)got;
}

static inline bool zcrx_next(struct zcrx_completion *completion)
{
	const uint32_t head = *zcrx.cq_head;

	if (head == __atomic_load_n(zcrx.cq_tail, __ATOMIC_ACQUIRE))
		return false;
	*completion = zcrx.cqes[head & (COMPLETIONS - 1)];
	__atomic_store_n(zcrx.cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

static inline void zcrx_publish(void)
{
	__atomic_store_n(zcrx.rq_tail, zcrx.rq_next, __ATOMIC_RELEASE);
}

/* Returns how many calls that took: one where the NIC left no room in the refill ring. */
static inline int zcrx_give_back(uint64_t offset)
{
	int calls = 0;

	if (zcrx.rq_next - __atomic_load_n(zcrx.rq_head, __ATOMIC_ACQUIRE) == REFILLS) {
		struct zcrx_control flush = { .zcrx_id = zcrx.id };

		zcrx_publish();
		calls++;
		if (syscall(__NR_io_uring_register, zcrx.fd, REGISTER_ZCRX_CTRL, &flush, 0))
			fail("io_uring_register(ZCRX_CTRL)");
	}
	zcrx.rqes[zcrx.rq_next++ & (REFILLS - 1)] =
		(struct zcrx_rqe){ .off = offset | zcrx.area_token, .len = 4096 };
	return calls;
}

#endif
