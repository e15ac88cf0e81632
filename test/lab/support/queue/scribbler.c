/*
 * Uses queues of device memory in every way that there is, while a thread, and processes that
 * are forked off, write anything anywhere in what is shared with the kernel, and lets the
 * kernel make of that what it does. Sockets are connected to source.c, read, peeked at,
 * attached, detached, disconnected and closed, queues are closed and made anew, all by several
 * threads at a time that do not care about each other.
 *
 *   scribbler ADDRESS PORT SEED SECONDS
 *
 * In the end says on file descriptor 4 how often it did what; or fails with the first answer
 * of the kernel's that is none for what was asked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "program.h"
#include "queue.h"

#define QUEUES 3
#define SOCKETS 8
#define WORKERS 2
#define MAX_CHILDREN 3
/* Few of each, so that most of what is drawn is there. */
#define COOKIES 6
#define TOKENS 256
#define BUFFER (64 << 10)
/* More would keep memory from others. */
#define RECEIVE_BUFFER (128 << 10)
/* Microseconds that a thread waits for data, and for a connection. */
#define PATIENCE 3000
#define CONNECT_PATIENCE 300000
/* Nanoseconds between 64 scribbles and the next. */
#define PAUSE 50000

#define DEVMEM_DONTNEED 80
/* Kernel: ETOOSMALL */
#define TOO_SMALL 525

static struct {
	uint64_t reads, bytes, attached, detached, closed, disconnected, queues, forked, returned,
		scribbles;
} counters;

static struct slot {
	/* Whoever writes into the mapping has it for reading; whoever unmaps it, for writing. */
	pthread_rwlock_t lock;
	struct queue queue;
} slots[QUEUES];

static const struct addrinfo *source;
/* Changed by any thread at any time: a descriptor may be another one's by the time it is used. */
static int sockets[SOCKETS];
static int children;
static bool stopped;

static void count(uint64_t *counter, uint64_t more)
{
	__atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/* xorshift32 */
static uint32_t draw(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static bool one_in(uint32_t *state, uint32_t times)
{
	return draw(state) % times == 0;
}

/* Of a call that fails, errno has to be one of those that follow, up to a 0. */
static void expect(const char *what, ssize_t result, ...)
{
	int error = errno, allowed;
	va_list errors;

	if (result >= 0)
		return;
	va_start(errors, result);
	do
		allowed = va_arg(errors, int);
	while (allowed != 0 && allowed != error);
	va_end(errors);
	if (allowed == 0) {
		fprintf(stderr, "scribbler: %s: %s\n", what, strerror(error));
		/* Of a child, too. */
		kill(0, SIGABRT);
	}
}

/* An entry that is right, or nearly so, behind those that are there. */
static void write_return(const struct queue *queue, uint32_t *state)
{
	struct queue_map *map = queue->map;
	struct queue_return entry = {
		.cookie = draw(state) % COOKIES,
		.token_start = draw(state) % TOKENS,
		.token_count = 1 + draw(state) % 64,
	};
	uint32_t *fields = (uint32_t *)&entry;

	if (one_in(state, 4))
		fields[draw(state) % 4] = one_in(state, 2) ? draw(state) : UINT32_MAX;
	queue->returns[map->return_producer & queue->return_mask] = entry;
	__atomic_store_n(&map->return_producer, map->return_producer + 1, __ATOMIC_RELEASE);
}

static void scribble(const struct queue *queue, uint32_t *state)
{
	struct queue_map *map = queue->map;
	volatile uint32_t *words = (volatile uint32_t *)map;
	uint32_t word, before;

	count(&counters.scribbles, 1);
	switch (draw(state) % 16) {
	case 0:
		map->return_producer =
			map->return_consumer + (draw(state) & (2 * queue->return_mask + 1));
		break;
	case 1:
		map->fragment_consumer =
			map->fragment_producer - (draw(state) & (2 * queue->fragment_mask + 1));
		break;
	case 2:
		word = draw(state) % (sizeof(*map) / sizeof(*words));
		before = words[word];
		words[word] = draw(state);
		/* Mostly, or the queue would be one that stands still. */
		if (!one_in(state, 16))
			words[word] = before;
		break;
	case 3:
		words[draw(state) % (queue->size / sizeof(*words))] = draw(state);
		break;
	case 4:
	case 5:
		map->fragment_consumer = map->fragment_producer;
		break;
	default:
		write_return(queue, state);
	}
}

static void use_socket(int fd)
{
	const struct timeval patience = { .tv_usec = PATIENCE };
	const struct timeval connect_patience = { .tv_usec = CONNECT_PATIENCE };
	const int room = RECEIVE_BUFFER;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &connect_patience, sizeof(connect_patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	/* It may be connected already, or be closed by another thread meanwhile. */
	if (ask_for(fd, source, (uint32_t)fd))
		expect("connect", -1, ECONNRESET, EBADF, ENOTSOCK, EISCONN, EPIPE, EALREADY,
		       EINPROGRESS, EAGAIN, ECONNABORTED, ECONNREFUSED, ETIMEDOUT, 0);
}

static void renew_socket(uint32_t *state)
{
	const struct linger reset = { .l_onoff = 1 };
	int fd = socket(source->ai_family, SOCK_STREAM, 0);

	if (fd < 0)
		fail("scribbler: socket");
	use_socket(fd);
	fd = __atomic_exchange_n(&sockets[draw(state) % SOCKETS], fd, __ATOMIC_ACQ_REL);
	if (fd < 0)
		return;
	if (one_in(state, 2))
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (one_in(state, 4))
		shutdown(fd, draw(state) % 3);
	close(fd);
	count(&counters.closed, 1);
}

static void disconnect(int fd)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	int result = connect(fd, &nobody, sizeof(nobody));

	expect("disconnect", result, EBADF, ENOTSOCK, 0);
	if (result == 0)
		count(&counters.disconnected, 1);
	use_socket(fd);
}

static void receive(int fd, uint32_t *state)
{
	static _Thread_local char buffer[BUFFER];
	static _Thread_local _Alignas(16) char control[4096];
	struct iovec io = { buffer, 1 + draw(state) % BUFFER };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = one_in(state, 2) ? sizeof(control) : draw(state) % 128,
	};
	int flags = MSG_SOCK_DEVMEM;
	ssize_t got;

	if (one_in(state, 8))
		flags |= MSG_PEEK;
	if (!one_in(state, 8))
		flags |= MSG_DONTWAIT;
	got = recvmsg(fd, &message, flags);
	expect("recvmsg", got, EAGAIN, TOO_SMALL, EBUSY, ECONNRESET, EPIPE, ETIMEDOUT, ENOTCONN,
	       EBADF, ENOTSOCK, 0);
	count(&counters.reads, 1);
	if (got > 0)
		count(&counters.bytes, (uint64_t)got);
}

static void give_back_by_call(int fd, uint32_t *state)
{
	uint32_t ranges[4][2];

	for (int i = 0; i < 4; i++) {
		ranges[i][0] = draw(state) % TOKENS;
		ranges[i][1] = 1 + draw(state) % 16;
	}
	expect("SO_DEVMEM_DONTNEED",
	       setsockopt(fd, SOL_SOCKET, DEVMEM_DONTNEED, ranges, sizeof(ranges)), EBADF,
	       ENOTSOCK, 0);
}

static void attach(int fd, const struct queue *queue, uint32_t *state)
{
	int result;

	result = queue_attach(fd, one_in(state, 16) ? fd : queue->fd, draw(state) % COOKIES);
	expect("attach", result, EISCONN, EEXIST, EINVAL, EBADF, ENOTSOCK, 0);
	if (result == 0)
		count(&counters.attached, 1);
}

static void detach(int fd)
{
	int result = queue_detach(fd);

	expect("detach", result, ENOENT, EBADF, ENOTSOCK, 0);
	if (result == 0)
		count(&counters.detached, 1);
}

static void flush(const struct queue *queue, uint32_t *state)
{
	int result;

	for (uint32_t left = draw(state) % 32; left > 0; left--)
		write_return(queue, state);
	result = queue_flush(queue);
	expect("flush", result, 0);
	count(&counters.returned, (uint64_t)result);
}

static void act(const struct queue *queue, uint32_t *state)
{
	int fd = __atomic_load_n(&sockets[draw(state) % SOCKETS], __ATOMIC_ACQUIRE);

	switch (draw(state) % 64) {
	case 0 ... 7:
		attach(fd, queue, state);
		break;
	case 8 ... 9:
		detach(fd);
		break;
	case 10 ... 13:
		flush(queue, state);
		break;
	case 14 ... 15:
		give_back_by_call(fd, state);
		break;
	case 16 ... 17:
		renew_socket(state);
		break;
	case 18:
		disconnect(fd);
		break;
	default:
		receive(fd, state);
	}
}

/* What a child inherits, it can use as its parent does, and it ends in any way. */
static void live_on(struct queue queue, uint32_t state)
{
	for (uint32_t left = draw(&state) % 512; left > 0; left--) {
		for (int i = 0; i < 8; i++)
			scribble(&queue, &state);
		act(&queue, &state);
	}
	switch (draw(&state) % 4) {
	case 0:
		munmap(queue.map, queue.size);
		break;
	case 1:
		munmap((char *)queue.map + queue.size / 2 / 4096 * 4096, 4096);
		break;
	case 2:
		close(queue.fd);
		break;
	default:
		raise(SIGKILL);
	}
	_exit(0);
}

static void reap(int flags)
{
	int status;

	while (waitpid(-1, &status, flags) > 0) {
		if (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL) {
			fprintf(stderr, "scribbler: a child ended with %x\n", (unsigned)status);
			exit(1);
		}
		__atomic_fetch_sub(&children, 1, __ATOMIC_RELAXED);
	}
}

static void fork_child(const struct queue *queue, uint32_t *state)
{
	uint32_t seed = draw(state);
	pid_t child;

	reap(WNOHANG);
	if (__atomic_fetch_add(&children, 1, __ATOMIC_RELAXED) >= MAX_CHILDREN) {
		__atomic_fetch_sub(&children, 1, __ATOMIC_RELAXED);
		return;
	}
	child = fork();
	if (child == 0)
		live_on(*queue, seed);
	if (child < 0)
		fail("scribbler: fork");
	count(&counters.forked, 1);
}

static void open_queue(struct queue *queue, uint32_t *state)
{
	const uint32_t returns = 1U << draw(state) % 10, fragments = 1U << draw(state) % 10;
	int fd = socket(source->ai_family, SOCK_STREAM, 0);

	if (fd < 0 || queue_open(queue, fd, returns, one_in(state, 8) ? 0 : fragments))
		fail("scribbler: queue");
	close(fd);
	count(&counters.queues, 1);
}

static void renew_queue(struct slot *slot, uint32_t *state)
{
	pthread_rwlock_wrlock(&slot->lock);
	queue_close(&slot->queue);
	open_queue(&slot->queue, state);
	pthread_rwlock_unlock(&slot->lock);
}

static bool goes_on(void)
{
	return !__atomic_load_n(&stopped, __ATOMIC_RELAXED);
}

static void *work(void *seed)
{
	uint32_t state = (uint32_t)(uintptr_t)seed;

	while (goes_on()) {
		struct slot *slot = &slots[draw(&state) % QUEUES];

		if (one_in(&state, 256)) {
			renew_queue(slot, &state);
			continue;
		}
		pthread_rwlock_rdlock(&slot->lock);
		if (one_in(&state, 256))
			fork_child(&slot->queue, &state);
		else
			act(&slot->queue, &state);
		pthread_rwlock_unlock(&slot->lock);
	}
	return NULL;
}

static void *scribble_all(void *seed)
{
	const struct timespec pause = { .tv_nsec = PAUSE };
	uint32_t state = (uint32_t)(uintptr_t)seed;

	while (goes_on()) {
		struct slot *slot = &slots[draw(&state) % QUEUES];

		pthread_rwlock_rdlock(&slot->lock);
		for (int i = 0; i < 64; i++)
			scribble(&slot->queue, &state);
		pthread_rwlock_unlock(&slot->lock);
		/* Those whom it is to disturb need a CPU, too. */
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void start(uint32_t *state)
{
	pthread_rwlockattr_t closing_first;

	pthread_rwlockattr_init(&closing_first);
	pthread_rwlockattr_setkind_np(&closing_first,
				      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (int i = 0; i < QUEUES; i++) {
		pthread_rwlock_init(&slots[i].lock, &closing_first);
		open_queue(&slots[i].queue, state);
	}
	for (int i = 0; i < SOCKETS; i++)
		sockets[i] = -1;
}

static void report(void)
{
	dprintf(REPORT,
		"{\"outcome\":{\"reads\":%llu,\"bytes\":%llu,\"attached\":%llu,\"detached\":%llu,"
		"\"closed\":%llu,\"disconnected\":%llu,\"queues\":%llu,\"forked\":%llu,"
		"\"returned\":%llu,\"scribbles\":%llu}}\n",
		(unsigned long long)counters.reads, (unsigned long long)counters.bytes,
		(unsigned long long)counters.attached, (unsigned long long)counters.detached,
		(unsigned long long)counters.closed, (unsigned long long)counters.disconnected,
		(unsigned long long)counters.queues, (unsigned long long)counters.forked,
		(unsigned long long)counters.returned, (unsigned long long)counters.scribbles);
}

int main(int argc, char **argv)
{
	struct timespec left = { 0 };
	pthread_t threads[WORKERS + 1];
	uint32_t state;

	if (argc != 5)
		return 64;
	source = find(argv[1], argv[2]);
	state = (uint32_t)strtoul(argv[3], NULL, 10) | 1U << 31;
	left.tv_sec = strtol(argv[4], NULL, 10);
	setpgid(0, 0);
	signal(SIGPIPE, SIG_IGN);
	start(&state);
	for (int i = 0; i < WORKERS + 1; i++)
		if (pthread_create(&threads[i], NULL, i < WORKERS ? work : scribble_all,
				   (void *)(uintptr_t)(draw(&state) | 1)))
			fail("scribbler: thread");
	while (nanosleep(&left, &left))
		;
	__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS + 1; i++)
		pthread_join(threads[i], NULL);
	reap(0);
	report();
	return 0;
}
