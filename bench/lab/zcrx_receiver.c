/*
 * The reference of receiving by io_uring: what the kernel's interface allows with nothing
 * in between. A wake is one call for all sockets; each has one request, for all that comes.
 *
 *   zcrx_receiver HOST PORT BYTES CONNECTIONS INTERFACE QUEUE MEMORY HELD
 *
 * Takes the rx queue of that interface, by its number, with so many bytes of memory from
 * /dev/dma_heap/system. Asks for BYTES on each connection, reads them all, holds HELD bytes
 * before it gives the oldest back, and prints JSON as receiver.c does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>

#include "held.h"
#include "sample.h"
#include "zcrx.h"

/* What a consumer does with a fragment: it looks at where it is. */
static volatile uint64_t consumed;

struct connection {
	int fd;
	uint64_t woken; /* by which call, last */
};

static int allocate(uint64_t size)
{
	struct dma_heap_allocation_data data = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);

	if (heap < 0 || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data))
		fail("/dev/dma_heap/system");
	return (int)data.fd;
}

static void take(const struct zcrx_completion *completion)
{
	const uint64_t offset = completion->off & OFFSET_MASK;
	const uint32_t size = (uint32_t)completion->res;

	counters.bytes += size;
	counters.frags++;
	consumed += offset + size;
	hold((struct fragment){ offset, size, 0 });
}

/* False at the stream's end. */
static bool handle(struct connection *connection, const struct zcrx_completion *completion)
{
	if (connection->woken != counters.wait_calls) {
		connection->woken = counters.wait_calls;
		counters.wakes++;
	}
	if (completion->res > 0)
		take(completion);
	if (completion->flags & IORING_CQE_F_MORE)
		return true;
	if (completion->res == 0)
		return false;
	if (completion->res < 0 && completion->res != -ENOSPC && completion->res != -EOVERFLOW) {
		errno = -completion->res;
		fail("RECV_ZC");
	}
	counters.receive_calls++;
	zcrx_receive(connection->fd, (uintptr_t)connection);
	return true;
}

static void give_back(void)
{
	struct fragment oldest;

	while (next_to_give_back(&oldest))
		counters.return_calls += (uint64_t)zcrx_give_back(oldest.what);
	zcrx_publish();
}

static void receive(int left)
{
	struct zcrx_completion completion;

	while (left > 0) {
		counters.wait_calls++;
		zcrx_enter();
		while (zcrx_next(&completion)) {
			struct connection *connection =
				(struct connection *)(uintptr_t)completion.user_data;

			left -= !handle(connection, &completion);
		}
		give_back();
	}
}

int main(int argc, char **argv)
{
	struct connection *connections;
	uint64_t bytes, size;
	int count;

	if (argc != 9)
		return 64;
	bytes = strtoull(argv[3], NULL, 10);
	count = atoi(argv[4]);
	size = strtoull(argv[7], NULL, 10);
	connections = calloc((size_t)count, sizeof(*connections));
	if (!connections)
		fail("memory");
	hold_at_most(strtoull(argv[8], NULL, 10));
	zcrx_open((uint32_t)atoi(argv[5]), (uint32_t)atoi(argv[6]), allocate(size), size);

	begin_sample();
	for (int i = 0; i < count; i++) {
		connections[i].fd = ask_for(argv[1], argv[2], bytes);
		zcrx_receive(connections[i].fd, (uintptr_t)&connections[i]);
	}
	receive(count);
	print_sample(counters.return_calls + counters.wait_calls);
	return counters.bytes == bytes * (uint64_t)count ? 0 : 1;
}
