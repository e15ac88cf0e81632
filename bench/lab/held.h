/*
 * What a receiver holds before it gives it back: so many bytes, the oldest go first.
 */
#ifndef BENCH_LAB_HELD_H
#define BENCH_LAB_HELD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define MOST_HELD (1 << 20)

struct fragment {
	uint64_t what; /* a token, or an offset */
	uint32_t size;
	int of; /* the socket */
};

static struct {
	struct fragment *fragments;
	uint32_t first, last;
	uint64_t bytes, most;
} held;

static inline void hold_at_most(uint64_t bytes)
{
	held.most = bytes;
	held.fragments = malloc(MOST_HELD * sizeof(*held.fragments));
	if (!held.fragments)
		abort();
}

static inline void hold(struct fragment fragment)
{
	if (held.last - held.first == MOST_HELD)
		abort();
	held.fragments[held.last++ % MOST_HELD] = fragment;
	held.bytes += fragment.size;
}

/* The oldest of those that are too many. */
static inline bool next_to_give_back(struct fragment *oldest)
{
	if (held.bytes <= held.most || held.first == held.last)
		return false;
	*oldest = held.fragments[held.first++ % MOST_HELD];
	held.bytes -= oldest->size;
	return true;
}

#endif
