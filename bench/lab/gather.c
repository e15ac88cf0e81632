/*
 * What copying scattered pieces to one place costs at the least: memcpy of the same runs.
 *
 *   gather SIZE ROUNDS < RUNS
 *
 * RUNS: lines of "OFFSET BYTES", in a memory of SIZE bytes of the kind that the copies are
 * made from. Prints the nanoseconds of each round as a JSON array.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "../peer/client.h"

#define MOST_RUNS (1 << 20)

struct run {
	uint64_t offset;
	uint64_t bytes;
};

static char *memory_of(uint64_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

int main(int argc, char **argv)
{
	static struct run runs[MOST_RUNS];
	uint64_t bytes = 0;
	char *source, *target;
	int count = 0;

	if (argc != 3)
		return 64;
	while (count < MOST_RUNS && scanf("%" SCNu64 " %" SCNu64, &runs[count].offset,
					  &runs[count].bytes) == 2)
		bytes += runs[count++].bytes;
	source = memory_of(strtoull(argv[1], NULL, 10));
	target = memory_of(bytes);
	memset(source, 1, strtoull(argv[1], NULL, 10));
	memset(target, 2, bytes);
	for (int round = 0; round < atoi(argv[2]); round++) {
		double start = now();
		char *to = target;

		for (int i = 0; i < count; i++) {
			memcpy(to, source + runs[i].offset, runs[i].bytes);
			to += runs[i].bytes;
		}
		printf("%s%.0f", round == 0 ? "[" : ",", (now() - start) * 1e9);
	}
	printf("]\n");
	return 0;
}
