/*
 * What the receivers here count and measure, and print as JSON: bench/lab/streams.mjs reads it.
 */
#ifndef BENCH_LAB_SAMPLE_H
#define BENCH_LAB_SAMPLE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include "../peer/client.h"

static struct {
	uint64_t bytes, linear_bytes, frags, receive_calls, return_calls, wait_calls, wakes;
} counters;

static struct {
	struct rusage usage;
	double time;
} sample_start;

static inline void begin_sample(void)
{
	getrusage(RUSAGE_SELF, &sample_start.usage);
	sample_start.time = now();
}

/* What it took since begin_sample(). 'calls': of the system, all that there were. */
static inline void print_sample(uint64_t calls)
{
	const double end = now();
	const struct rusage *before = &sample_start.usage;
	struct rusage after;

	getrusage(RUSAGE_SELF, &after);
	printf("{\"bytes\":%llu,\"linearBytes\":%llu,\"frags\":%llu,\"seconds\":%.6f,"
	       "\"user\":%.6f,\"system\":%.6f,\"receiveCalls\":%llu,\"returnCalls\":%llu,"
	       "\"waitCalls\":%llu,\"wakes\":%llu,\"calls\":%llu}\n",
	       (unsigned long long)counters.bytes, (unsigned long long)counters.linear_bytes,
	       (unsigned long long)counters.frags, end - sample_start.time,
	       seconds(after.ru_utime) - seconds(before->ru_utime),
	       seconds(after.ru_stime) - seconds(before->ru_stime),
	       (unsigned long long)counters.receive_calls,
	       (unsigned long long)counters.return_calls,
	       (unsigned long long)counters.wait_calls, (unsigned long long)counters.wakes,
	       (unsigned long long)calls);
}

#endif
