/*
 * An io_uring of a test's own, for the addon to run on where there is no NIC: put before
 * the system calls by LD_PRELOAD, and loaded by the test as an addon of Node.js, too, which
 * says by that what comes, and sees what was asked for.
 *
 *   submitted(into: Float64Array) -> how many were submitted since: opcode, user_data, fd,
 *     length, address of each
 *   complete(user_data, result, flags, offset)    seen once the ring is entered, as with
 *     IORING_SETUP_DEFER_TASKRUN
 *   refuse(errno, times)     so often, io_uring_enter fails and takes nothing
 *   take(into: Float64Array) -> what a NIC finds given back: offsets. That makes room in the
 *     refill ring
 *   flushed(into: Float64Array) -> the same, of what the kernel was asked to take
 *   refuseFlush(errno)       from now on; 0: no more
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARGUMENTS 6
#define MOST 8192
#define OFFSET_MASK ((UINT64_C(1) << 48) - 1)
#define AREA_TOKEN (UINT64_C(5) << 48)

#define REGISTER_ZCRX_IFQ 32
#define REGISTER_QUERY 35
#define REGISTER_ZCRX_CTRL 36
#define CTRL_FLUSH_RQ 0

/* Where what is in the rings' mapping. */
enum { SQ_HEAD = 0, SQ_TAIL = 64, CQ_HEAD = 128, CQ_TAIL = 192, CQ_MASK = 256, CQES = 320 };
/* And in the refill ring's: its entries lie behind a page. */
enum { RQ_HEAD = 0, RQ_TAIL = 64, RQES = 4096 };

struct cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
	uint64_t offset, pad;
};

struct rqe {
	uint64_t off;
	uint32_t len, pad;
};

struct list {
	double values[MOST];
	size_t count;
};

static struct {
	int fd;
	uint32_t sq_entries, cq_entries, rq_entries;
	uint8_t *rings;
	struct io_uring_sqe *sqes;
	uint8_t *refill;
	struct cqe waiting[MOST];
	size_t waiting_count;
	struct list submitted, flushed;
	int refused, refused_times, refused_flush;
} ring = { .fd = -1 };

static uint32_t *at(uint8_t *memory, size_t offset)
{
	return (uint32_t *)(memory + offset);
}

static void append(struct list *list, double value)
{
	if (list->count == MOST)
		abort();
	list->values[list->count++] = value;
}

static long failed(int error)
{
	errno = error;
	return -1;
}

static long setup(uint32_t entries, struct io_uring_params *params)
{
	ring.sq_entries = params->sq_entries = entries;
	ring.cq_entries = params->cq_entries;
	params->sq_off.head = SQ_HEAD;
	params->sq_off.tail = SQ_TAIL;
	params->cq_off.head = CQ_HEAD;
	params->cq_off.tail = CQ_TAIL;
	params->cq_off.ring_mask = CQ_MASK;
	params->cq_off.cqes = CQES;
	ring.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return ring.fd;
}

static void submit(void)
{
	uint32_t *head = at(ring.rings, SQ_HEAD);

	for (; *head != *at(ring.rings, SQ_TAIL); ++*head) {
		const struct io_uring_sqe *sqe = &ring.sqes[*head & (ring.sq_entries - 1)];

		append(&ring.submitted, sqe->opcode);
		append(&ring.submitted, (double)sqe->user_data);
		append(&ring.submitted, sqe->fd);
		append(&ring.submitted, sqe->len);
		append(&ring.submitted, (double)sqe->addr);
	}
}

static void post(void)
{
	struct cqe *cqes = (struct cqe *)(ring.rings + CQES);
	uint32_t *tail = at(ring.rings, CQ_TAIL);
	size_t posted = 0;

	while (posted < ring.waiting_count && *tail - *at(ring.rings, CQ_HEAD) < ring.cq_entries) {
		cqes[*tail & (ring.cq_entries - 1)] = ring.waiting[posted++];
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	}
	ring.waiting_count -= posted;
	memmove(ring.waiting, ring.waiting + posted, ring.waiting_count * sizeof(struct cqe));
}

static long enter(void)
{
	uint64_t value;

	if (ring.refused_times > 0) {
		ring.refused_times--;
		return failed(ring.refused);
	}
	submit();
	post();
	if (ring.waiting_count == 0 && read(ring.fd, &value, sizeof(value)) < 0 && errno != EAGAIN)
		return -1;
	return 0;
}

static void take_refilled(struct list *into)
{
	const struct rqe *rqes = (const struct rqe *)(ring.refill + RQES);
	uint32_t *head = at(ring.refill, RQ_HEAD);

	while (*head != __atomic_load_n(at(ring.refill, RQ_TAIL), __ATOMIC_ACQUIRE)) {
		uint64_t off = rqes[*head & (ring.rq_entries - 1)].off;

		if ((off & ~OFFSET_MASK) != AREA_TOKEN)
			abort();
		append(into, (double)(off & OFFSET_MASK));
		__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	}
}

/* The structures, as far as they matter here: src/native/uapi/io_uring.h has them whole. */
static long register_ifq(uint8_t *ifq)
{
	uint64_t *area = (uint64_t *)*(uintptr_t *)(ifq + 16);
	const uint64_t *region = (const uint64_t *)*(uintptr_t *)(ifq + 24);
	uint32_t *offsets = (uint32_t *)(ifq + 32);

	ring.rq_entries = *(uint32_t *)(ifq + 8);
	ring.refill = (uint8_t *)(uintptr_t)region[0];
	offsets[0] = RQ_HEAD;
	offsets[1] = RQ_TAIL;
	offsets[2] = RQES;
	area[2] = AREA_TOKEN;
	return 0;
}

static long answer_query(const uint8_t *query)
{
	uint64_t *answer = (uint64_t *)*(uintptr_t *)(query + 8);

	answer[1] = 1; /* dma-buf areas */
	((uint32_t *)answer)[4] = 3; /* control operations */
	((uint32_t *)answer)[5] = 3; /* features */
	return 0;
}

static long control(const uint32_t *asked)
{
	if (asked[1] != CTRL_FLUSH_RQ)
		return 0;
	if (ring.refused_flush != 0)
		return failed(ring.refused_flush);
	take_refilled(&ring.flushed);
	return 0;
}

static long registering(unsigned opcode, void *argument)
{
	switch (opcode) {
	case REGISTER_QUERY:
		return answer_query(argument);
	case REGISTER_ZCRX_IFQ:
		return register_ifq(argument);
	case REGISTER_ZCRX_CTRL:
		return control(argument);
	default:
		return failed(EINVAL);
	}
}

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long argument[ARGUMENTS];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < ARGUMENTS; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	switch (number) {
	case __NR_io_uring_setup:
		return setup((uint32_t)argument[0], (struct io_uring_params *)argument[1]);
	case __NR_io_uring_enter:
		return enter();
	case __NR_io_uring_register:
		return registering((unsigned)argument[1], (void *)argument[2]);
	}
	if (next == NULL)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return next(number, argument[0], argument[1], argument[2], argument[3], argument[4],
		    argument[5]);
}

static void *map(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
	static void *(*next)(void *, size_t, int, int, int, off64_t);
	void *memory;

	if (next == NULL)
		next = (void *(*)(void *, size_t, int, int, int, off64_t))dlsym(RTLD_NEXT, "mmap64");
	if (fd < 0 || fd != ring.fd)
		return next(address, size, protection, flags, fd, offset);
	memory = next(NULL, size, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (offset == (off64_t)IORING_OFF_SQES) {
		ring.sqes = memory;
	} else {
		ring.rings = memory;
		*at(ring.rings, CQ_MASK) = ring.cq_entries - 1;
	}
	return memory;
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return map(address, size, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
	return map(address, size, protection, flags, fd, offset);
}

/* As much of Node-API as is needed, so that no headers are. */
typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
int napi_get_value_double(napi_env, napi_value, double *);
int napi_create_double(napi_env, double, napi_value *);
int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
int napi_set_named_property(napi_env, napi_value, const char *, napi_value);
int napi_get_typedarray_info(napi_env, napi_value, int *, size_t *, void **, napi_value *,
			     size_t *);

static void arguments(napi_env env, napi_callback_info info, napi_value *values, size_t count)
{
	napi_get_cb_info(env, info, &count, values, NULL, NULL);
}

static void numbers(napi_env env, napi_callback_info info, double *into, size_t count)
{
	napi_value values[4];

	arguments(env, info, values, count);
	for (size_t i = 0; i < count; i++)
		napi_get_value_double(env, values[i], &into[i]);
}

/* Hands a list over, and empties it. */
static napi_value handed(napi_env env, napi_callback_info info, struct list *list)
{
	napi_value value, count;
	size_t length = 0;
	void *into = NULL;

	arguments(env, info, &value, 1);
	napi_get_typedarray_info(env, value, NULL, &length, &into, NULL, NULL);
	if (length < list->count)
		abort();
	memcpy(into, list->values, list->count * sizeof(double));
	napi_create_double(env, (double)list->count, &count);
	list->count = 0;
	return count;
}

static napi_value submitted(napi_env env, napi_callback_info info)
{
	return handed(env, info, &ring.submitted);
}

static napi_value flushed(napi_env env, napi_callback_info info)
{
	return handed(env, info, &ring.flushed);
}

static napi_value take(napi_env env, napi_callback_info info)
{
	static struct list taken;

	take_refilled(&taken);
	return handed(env, info, &taken);
}

static napi_value complete(napi_env env, napi_callback_info info)
{
	const uint64_t one = 1;
	double value[4];

	numbers(env, info, value, 4);
	if (ring.waiting_count == MOST)
		abort();
	ring.waiting[ring.waiting_count++] = (struct cqe){ (uint64_t)value[0], (int32_t)value[1],
							   (uint32_t)value[2],
							   (uint64_t)value[3] | AREA_TOKEN, 0 };
	if (write(ring.fd, &one, sizeof(one)) != sizeof(one))
		abort();
	return NULL;
}

static napi_value refuse(napi_env env, napi_callback_info info)
{
	double value[2];

	numbers(env, info, value, 2);
	ring.refused = (int)value[0];
	ring.refused_times = (int)value[1];
	return NULL;
}

static napi_value refuse_flush(napi_env env, napi_callback_info info)
{
	double value[1];

	numbers(env, info, value, 1);
	ring.refused_flush = (int)value[0];
	return NULL;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	static const struct {
		const char *name;
		napi_callback call;
	} all[] = {
		{ "submitted", submitted }, { "complete", complete },
		{ "refuse", refuse },	    { "take", take },
		{ "flushed", flushed },	    { "refuseFlush", refuse_flush },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		napi_value function;

		napi_create_function(env, NULL, 0, all[i].call, NULL, &function);
		napi_set_named_property(env, exports, all[i].name, function);
	}
	return exports;
}
