/*
 * What copying scattered pieces to one place costs at the least: memcpy of the same runs,
 * from the same memory.
 *
 *   memcpy SIZE BYTES [sync] [cold] < QUESTIONS
 *
 * The memory, of SIZE bytes, is descriptor 3. A question is how many runs there are, and
 * then where each begins and its bytes, as 64-bit numbers; at most BYTES in all. The answer
 * is a line: the nanoseconds that copying them took, between DMA_BUF_IOCTL_SYNC's start and
 * end with `sync`. They are copied once before it counts, so that they are in the caches, but
 * not with `cold`.
 */
#define _GNU_SOURCE
#include <linux/dma-buf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client.h"

#define MEMORY 3
#define MOST_RUNS (1 << 20)

struct run {
	uint64_t offset;
	uint64_t bytes;
};

/* Both touched, so that no page of either is missing when it counts. */
static char *map_memory(uint64_t size)
{
	char *memory = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, MEMORY, 0);
	volatile char seen;

	if (memory == MAP_FAILED)
		fail("mmap");
	for (uint64_t at = 0; at < size; at += 4096)
		seen = memory[at];
	(void)seen;
	return memory;
}

static char *make_target(uint64_t bytes)
{
	char *target = malloc(bytes);

	if (!target)
		fail("malloc");
	memset(target, 1, bytes);
	return target;
}

static void sync_memory(uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_RW | flags };

	if (ioctl(MEMORY, DMA_BUF_IOCTL_SYNC, &sync))
		fail("DMA_BUF_IOCTL_SYNC");
}

static void copy(char *target, const char *memory, const struct run *runs, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		memcpy(target, memory + runs[i].offset, runs[i].bytes);
		target += runs[i].bytes;
	}
}

int main(int argc, char **argv)
{
	static struct run runs[MOST_RUNS];
	int sync = 0, cold = 0;
	char *memory, *target;
	uint64_t count;

	if (argc < 3)
		return 64;
	for (int i = 3; i < argc; i++) {
		sync |= !strcmp(argv[i], "sync");
		cold |= !strcmp(argv[i], "cold");
	}
	memory = map_memory(strtoull(argv[1], NULL, 10));
	target = make_target(strtoull(argv[2], NULL, 10));
	while (fread(&count, sizeof(count), 1, stdin) == 1) {
		double start;

		if (count > MOST_RUNS || fread(runs, sizeof(*runs), count, stdin) != count)
			return 65;
		if (!cold)
			copy(target, memory, runs, count);
		start = now();
		if (sync)
			sync_memory(DMA_BUF_SYNC_START);
		copy(target, memory, runs, count);
		if (sync)
			sync_memory(DMA_BUF_SYNC_END);
		printf("%.0f\n", (now() - start) * 1e9);
		fflush(stdout);
	}
	return 0;
}
