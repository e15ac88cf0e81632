/*
 * The kernel's interface to fragments of device memory (include/uapi/linux/uio.h,
 * asm-generic/socket.h), which headers of distributions may lack.
 */
#ifndef BENCH_LAB_DEVMEM_H
#define BENCH_LAB_DEVMEM_H

#include <stdint.h>

#define SOCK_DEVMEM 0x2000000
#define DEVMEM_LINEAR 78
#define DEVMEM_DMABUF 79
#define DEVMEM_DONTNEED 80
/* net/core/sock.c: MAX_DONTNEED_TOKENS, MAX_DONTNEED_FRAGS */
#define MAX_RANGES 128
#define MAX_FRAGS 1024

struct record {
	uint64_t offset;
	uint32_t size, token, dmabuf_id, flags;
};

struct range {
	uint32_t start, count;
};

#endif
