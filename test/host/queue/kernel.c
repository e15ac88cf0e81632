/*
 * The kernel's side of devmem TCP with a token queue, of a test's own, for the addon to run
 * on where there is no NIC: put before the system calls by LD_PRELOAD, and loaded by the test
 * as an addon of Node.js, too, which says by that what comes, and sees what was given back.
 * Sockets are numbered from 0 on, in the order in which they were attached for the first time.
 *
 *   deliver(socket, count, size) fragments, for recvmsg(MSG_SOCK_DEVMEM) to give out: once
 *     there is something to read of the socket itself, which is of no other meaning
 *   refuse(call, errno, times)   so often, a call fails: see enum call
 *   scribble(word, value)        in the mapping
 *   falsify(what, value)         the next entry in the ring of fragments: see enum what
 *   state(into: Float64Array)    see enum state
 *   held(socket) -> fragments that user space has
 *
 * In the environment: QUEUE_START, where counters begin; QUEUE_VERSION, the only one there
 * is; QUEUE_FRAGMENTS=no, for a kernel whose queues have no ring of fragments.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SO_DEVMEM_DMABUF 79
#define SO_DEVMEM_DONTNEED 80
#define SO_DEVMEM_QUEUE 86
#define MSG_SOCK_DEVMEM 0x2000000
#define FLUSH _IO(0xDE, 0)

#define SOCKETS 64
#define TOKENS (1 << 16)
#define PASS 4096
#define MAX_COUNT 1024
#define MAP_BYTES 320
#define PAGE 4096
#define MEMORY_PAGES 16384
#define TOO_SMALL 525

enum call { CREATE, ATTACH, IOCTL_FLUSH, DONTNEED, CALLS };
enum state { FLUSHES, DONTNEEDS, RETURNED, INVALID, UNKNOWN, READS, ATTACHED, RECORDS, STATES };
enum what { NOTHING, PRODUCED, COOKIE, OFFSET, SIZE, DMABUF };
/* Words of the mapping. */
enum { PRODUCER = 16, CONSUMER = 32, MAP_UNKNOWN = 38, FRAGMENT_PRODUCER = 48,
       FRAGMENT_CONSUMER = 64 };

struct create {
	uint32_t version, flags, return_entries, fragment_entries;
	int32_t fd;
	uint32_t map_size, return_offset, fragment_offset;
};

struct attach {
	int32_t fd;
	uint32_t cookie, flags;
};

struct entry {
	uint32_t cookie, start, count, reserved;
};

struct fragment {
	uint64_t offset;
	uint32_t size, token, dmabuf_id, cookie, flags, reserved;
};

struct record {
	uint64_t offset;
	uint32_t size, token, dmabuf_id, flags;
};

struct socket {
	int fd;
	bool attached;
	uint32_t cookie, next_token, held;
	uint32_t waiting, size;
	bool holds[TOKENS];
};

static struct socket sockets[SOCKETS];
static int socket_count;
static double states[STATES];
static struct {
	enum what what;
	uint32_t value;
} falsified;
static int refused[CALLS], refused_times[CALLS];
static struct {
	int fd;
	uint32_t *map;
	struct entry *returns;
	struct fragment *fragments;
	uint32_t return_entries, return_head, fragment_entries, fragment_head;
} queue = { .fd = -1 };

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static bool refuses(enum call call)
{
	if (refused_times[call] == 0)
		return false;
	refused_times[call]--;
	errno = refused[call];
	return true;
}

static int failed(int error)
{
	errno = error;
	return -1;
}

static struct socket *by_fd(int fd)
{
	for (int i = socket_count; i-- > 0;)
		if (sockets[i].fd == fd)
			return &sockets[i];
	return NULL;
}

static struct socket *by_cookie(uint32_t cookie)
{
	for (int i = 0; i < socket_count; i++)
		if (sockets[i].attached && sockets[i].cookie == cookie)
			return &sockets[i];
	return NULL;
}

static bool take_token(struct socket *socket, uint32_t token)
{
	if (token >= TOKENS || !socket->holds[token])
		return false;
	socket->holds[token] = false;
	socket->held--;
	return true;
}

static void take_entry(const struct entry *entry)
{
	struct socket *socket = by_cookie(entry->cookie);

	if (socket == NULL || entry->count == 0 || entry->count > MAX_COUNT || entry->reserved) {
		states[INVALID]++;
		return;
	}
	for (uint32_t i = 0; i < entry->count; i++)
		states[take_token(socket, entry->start + i) ? RETURNED : UNKNOWN]++;
}

/* As the kernel does: by its own count, and not behind a producer that cannot be. */
static void drain(uint32_t most)
{
	uint32_t tokens = 0;

	while (tokens < most) {
		uint32_t producer = __atomic_load_n(&queue.map[PRODUCER], __ATOMIC_ACQUIRE);
		struct entry entry;

		if (producer == queue.return_head)
			break;
		if (producer - queue.return_head > queue.return_entries) {
			queue.return_head = producer;
			states[INVALID]++;
			break;
		}
		entry = queue.returns[queue.return_head++ % queue.return_entries];
		tokens += entry.count;
		take_entry(&entry);
	}
	*(uint64_t *)&queue.map[MAP_UNKNOWN] = (uint64_t)states[UNKNOWN];
	__atomic_store_n(&queue.map[CONSUMER], queue.return_head, __ATOMIC_RELEASE);
}

static uint32_t variable(const char *name, uint32_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : (uint32_t)strtoul(text, NULL, 10);
}

static int create(struct create *args)
{
	uint32_t start = variable("QUEUE_START", 0);
	uint32_t end = MAP_BYTES;

	if (refuses(CREATE))
		return -1;
	if (args->version != variable("QUEUE_VERSION", 1))
		return failed(EOPNOTSUPP);
	if (args->fragment_entries != 0 && getenv("QUEUE_FRAGMENTS") != NULL)
		return failed(EINVAL);
	queue.return_entries = args->return_entries;
	queue.fragment_entries = args->fragment_entries;
	args->return_offset = end;
	end += args->return_entries * sizeof(struct entry);
	args->fragment_offset = args->fragment_entries ? end : 0;
	end += args->fragment_entries * sizeof(struct fragment);
	args->map_size = (end + PAGE - 1) / PAGE * PAGE;
	queue.fd = args->fd = memfd_create("queue", MFD_CLOEXEC);
	if (args->fd < 0 || ftruncate(args->fd, args->map_size))
		abort();
	queue.map = mmap(NULL, args->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, args->fd, 0);
	if (queue.map == MAP_FAILED)
		abort();
	queue.returns = (struct entry *)((char *)queue.map + args->return_offset);
	queue.fragments = (struct fragment *)((char *)queue.map + args->fragment_offset);
	queue.return_head = queue.map[PRODUCER] = queue.map[CONSUMER] = start;
	queue.fragment_head = start;
	queue.map[FRAGMENT_PRODUCER] = queue.map[FRAGMENT_CONSUMER] = start;
	return 0;
}

static int detach(struct socket *socket)
{
	/* Of another receiver, which the test only pretends that there is. */
	if (socket == NULL)
		return 0;
	if (!socket->attached)
		return failed(ENOENT);
	drain(UINT32_MAX);
	socket->attached = false;
	states[ATTACHED]--;
	return 0;
}

static int attach(int fd, const struct attach *args)
{
	struct socket *socket = by_fd(fd);

	if (args->fd == -1)
		return detach(socket);
	if (refuses(ATTACH))
		return -1;
	if (args->fd != queue.fd || args->flags)
		return failed(EINVAL);
	if (socket != NULL && socket->attached)
		return failed(EISCONN);
	if (by_cookie(args->cookie))
		return failed(EEXIST);
	drain(UINT32_MAX);
	if (socket_count == SOCKETS)
		abort();
	socket = &sockets[socket_count++];
	socket->fd = fd;
	socket->attached = true;
	socket->cookie = args->cookie;
	socket->next_token = 1;
	states[ATTACHED]++;
	return 0;
}

static int dontneed(int fd, const uint32_t *ranges, socklen_t length)
{
	struct socket *socket = by_fd(fd);
	int freed = 0;

	states[DONTNEEDS]++;
	if (refuses(DONTNEED))
		return -1;
	for (size_t i = 0; socket && i < length / sizeof(uint32_t); i += 2)
		for (uint32_t k = 0; k < ranges[i + 1]; k++)
			freed += take_token(socket, ranges[i] + k);
	return freed;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	static int (*real)(int, int, int, void *, socklen_t *);

	if (level == SOL_SOCKET && name == SO_DEVMEM_QUEUE)
		return create(value);
	if (real == NULL)
		real = (int (*)(int, int, int, void *, socklen_t *))next("getsockopt");
	return real(fd, level, name, value, length);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	static int (*real)(int, int, int, const void *, socklen_t);

	if (level == SOL_SOCKET && name == SO_DEVMEM_QUEUE)
		return attach(fd, value);
	if (level == SOL_SOCKET && name == SO_DEVMEM_DONTNEED)
		return dontneed(fd, value, length);
	if (real == NULL)
		real = (int (*)(int, int, int, const void *, socklen_t))next("setsockopt");
	return real(fd, level, name, value, length);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, void *);
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (request == FLUSH && fd == queue.fd) {
		states[FLUSHES]++;
		if (refuses(IOCTL_FLUSH))
			return -1;
		drain(UINT32_MAX);
		return 0;
	}
	if (real == NULL)
		real = (int (*)(int, unsigned long, void *))next("ioctl");
	return real(fd, request, argument);
}

static struct record give(struct socket *socket)
{
	uint32_t token;

	/* The lowest that is free, in turns. */
	do
		token = socket->next_token++ % (TOKENS - 1) + 1;
	while (socket->holds[token]);
	socket->holds[token] = true;
	socket->held++;
	socket->waiting--;
	return (struct record){ (uint64_t)(token % MEMORY_PAGES) * PAGE, socket->size, token, 1, 0 };
}

/* What somebody else writes there, between the kernel and its user. */
static uint32_t falsify_entry(struct fragment *entry)
{
	enum what what = falsified.what;

	falsified.what = NOTHING;
	if (what == COOKIE)
		entry->cookie = falsified.value;
	else if (what == OFFSET)
		entry->offset = falsified.value;
	else if (what == SIZE)
		entry->size = falsified.value;
	else if (what == DMABUF)
		entry->dmabuf_id = falsified.value;
	return what == PRODUCED ? falsified.value : 0;
}

static bool push(struct socket *socket)
{
	uint32_t consumer = __atomic_load_n(&queue.map[FRAGMENT_CONSUMER], __ATOMIC_ACQUIRE);
	struct fragment *entry;
	struct record record;
	uint32_t beyond;

	if (queue.fragment_head - consumer >= queue.fragment_entries)
		return false;
	record = give(socket);
	entry = &queue.fragments[queue.fragment_head++ % queue.fragment_entries];
	*entry = (struct fragment){ record.offset, record.size, record.token, record.dmabuf_id,
				    socket->cookie, 0, 0 };
	beyond = falsify_entry(entry);
	__atomic_store_n(&queue.map[FRAGMENT_PRODUCER], queue.fragment_head + beyond,
			 __ATOMIC_RELEASE);
	return true;
}

static bool tell(struct socket *socket, struct msghdr *message, size_t *used)
{
	struct cmsghdr *header = (struct cmsghdr *)((char *)message->msg_control + *used);
	struct record record;

	if (*used + CMSG_SPACE(sizeof(record)) > message->msg_controllen)
		return false;
	record = give(socket);
	*header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(record)),
				    .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SO_DEVMEM_DMABUF };
	memcpy(CMSG_DATA(header), &record, sizeof(record));
	*used += CMSG_SPACE(sizeof(record));
	states[RECORDS]++;
	return true;
}

static ssize_t receive(struct socket *socket, struct msghdr *message)
{
	bool ring = socket->attached && queue.fragment_entries > 0;
	size_t room = message->msg_iov->iov_len;
	size_t used = 0;
	ssize_t bytes = 0;
	char byte[64];

	states[READS]++;
	if (socket->attached)
		drain(PASS);
	while (socket->waiting > 0 && (size_t)bytes + socket->size <= room &&
	       (ring ? push(socket) : tell(socket, message, &used)))
		bytes += socket->size;
	message->msg_controllen = used;
	if (bytes > 0)
		return bytes;
	if (socket->waiting > 0)
		return failed(TOO_SMALL);
	/* It is readable until then. */
	while ((bytes = recv(socket->fd, byte, sizeof(byte), MSG_DONTWAIT)) > 0)
		;
	return bytes;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, struct msghdr *, int);
	struct socket *socket = flags & MSG_SOCK_DEVMEM ? by_fd(fd) : NULL;

	if (socket != NULL)
		return receive(socket, message);
	if (real == NULL)
		real = (ssize_t (*)(int, struct msghdr *, int))next("recvmsg");
	return real(fd, message, flags & ~MSG_SOCK_DEVMEM);
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

static void numbers(napi_env env, napi_callback_info info, double *into, size_t count)
{
	napi_value values[4];
	size_t had = count;

	napi_get_cb_info(env, info, &had, values, NULL, NULL);
	for (size_t i = 0; i < count; i++)
		napi_get_value_double(env, values[i], &into[i]);
}

static napi_value deliver(napi_env env, napi_callback_info info)
{
	struct socket *socket;
	double value[3];

	numbers(env, info, value, 3);
	socket = &sockets[(int)value[0]];
	socket->waiting += (uint32_t)value[1];
	socket->size = (uint32_t)value[2];
	return NULL;
}

static napi_value refuse(napi_env env, napi_callback_info info)
{
	double value[3];

	numbers(env, info, value, 3);
	refused[(int)value[0]] = (int)value[1];
	refused_times[(int)value[0]] = (int)value[2];
	return NULL;
}

static napi_value falsify(napi_env env, napi_callback_info info)
{
	double value[2];

	numbers(env, info, value, 2);
	falsified.what = (enum what)value[0];
	falsified.value = (uint32_t)value[1];
	return NULL;
}

static napi_value scribble(napi_env env, napi_callback_info info)
{
	double value[2];

	numbers(env, info, value, 2);
	__atomic_store_n(&queue.map[(int)value[0]], (uint32_t)value[1], __ATOMIC_RELEASE);
	return NULL;
}

static napi_value state(napi_env env, napi_callback_info info)
{
	size_t count = 1, length = 0;
	void *into = NULL;
	napi_value value;

	napi_get_cb_info(env, info, &count, &value, NULL, NULL);
	napi_get_typedarray_info(env, value, NULL, &length, &into, NULL, NULL);
	if (length < STATES)
		abort();
	memcpy(into, states, sizeof(states));
	return NULL;
}

static napi_value held(napi_env env, napi_callback_info info)
{
	napi_value result;
	double value[1];

	numbers(env, info, value, 1);
	napi_create_double(env, sockets[(int)value[0]].held, &result);
	return result;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	static const struct {
		const char *name;
		napi_callback call;
	} all[] = {
		{ "deliver", deliver }, { "refuse", refuse }, { "scribble", scribble },
		{ "falsify", falsify },
		{ "state", state },	{ "held", held },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		napi_value function;

		napi_create_function(env, NULL, 0, all[i].call, NULL, &function);
		napi_set_named_property(env, exports, all[i].name, function);
	}
	return exports;
}
