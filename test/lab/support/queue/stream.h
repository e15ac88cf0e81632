/* Endless streams in which no place is like another, nor one stream like another. */
#ifndef TEST_LAB_SUPPORT_QUEUE_STREAM_H
#define TEST_LAB_SUPPORT_QUEUE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t stream_word(uint64_t seed, uint64_t index)
{
	uint64_t word = (seed << 40 ^ index) * 0xd6e8feb86659fd93;

	word ^= word >> 31;
	return word * 0x9fb21c651e98df25;
}

static inline bool stream_is(uint64_t seed, uint64_t position, const char *bytes, size_t size)
{
	while (size > 0) {
		uint64_t word = stream_word(seed, position / sizeof(word));
		size_t skip = position % sizeof(word);
		size_t part = sizeof(word) - skip < size ? sizeof(word) - skip : size;

		if (memcmp((char *)&word + skip, bytes, part))
			return false;
		bytes += part;
		position += part;
		size -= part;
	}
	return true;
}

/* At a position that is a multiple of a word's size, and as many bytes. */
static inline void stream_fill(uint64_t seed, uint64_t position, uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		words[i] = stream_word(seed, position / sizeof(*words) + i);
}

#endif
