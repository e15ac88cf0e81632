// The kernel's queues of device memory tokens, as kernel/patches/linux-7-token-queue and
// linux-6.12-token-queue have them: Documentation/networking/devmem-queue.rst and
// include/uapi/linux/devmem_queue.h there. No distribution's headers do.
#pragma once

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace devmem::uapi {

// include/uapi/asm-generic/socket.h
#if defined(__hppa__)
inline constexpr int kSoDevmemQueue = 0x4054;
#elif defined(__sparc__)
inline constexpr int kSoDevmemQueue = 0x5f;
#else
inline constexpr int kSoDevmemQueue = 86;
#endif

inline constexpr uint32_t kDevmemQueueVersion = 1;
inline constexpr uint32_t kDevmemQueueMaxCount = 1024;  // tokens of one entry
inline constexpr unsigned long kDevmemQueueFlush = _IO(0xDE, 0);

// getsockopt(SO_DEVMEM_QUEUE) on any TCP socket makes a queue.
struct DevmemQueueCreate {
  uint32_t version;
  uint32_t flags;
  uint32_t return_entries;    // a power of two
  uint32_t fragment_entries;  // a power of two, or 0: no such ring
  int32_t fd;                 // from here on the kernel's answer
  uint32_t map_size;          // bytes
  uint32_t return_offset;     // of DevmemQueueReturn[] in the mapping
  uint32_t fragment_offset;   // of DevmemQueueFragment[]
};
static_assert(sizeof(DevmemQueueCreate) == 32);

// setsockopt(SO_DEVMEM_QUEUE) attaches a socket; with an fd of -1 detaches it.
struct DevmemQueueAttach {
  int32_t fd;
  uint32_t cookie;  // the socket's name in entries
  uint32_t flags;
};
static_assert(sizeof(DevmemQueueAttach) == 12);

// At the mapping's start, each side's part on cache lines of its own.
struct DevmemQueueMap {
  uint32_t version;
  uint32_t return_entries;
  uint32_t fragment_entries;
  uint32_t reserved0[13];
  uint32_t return_producer;  // stored by user space
  uint32_t reserved1[15];
  uint32_t return_consumer;
  uint32_t reserved2;
  uint64_t returned;        // fragments that came back by the ring
  uint64_t return_invalid;  // entries that were skipped
  uint64_t return_unknown;  // tokens that were skipped
  uint32_t reserved3[8];
  uint32_t fragment_producer;
  uint32_t reserved4;
  uint64_t fragment_full;
  uint32_t reserved5[12];
  uint32_t fragment_consumer;  // stored by user space
  uint32_t reserved6[15];
};
static_assert(sizeof(DevmemQueueMap) == 320);
static_assert(offsetof(DevmemQueueMap, return_producer) == 64);
static_assert(offsetof(DevmemQueueMap, return_consumer) == 128);
static_assert(offsetof(DevmemQueueMap, return_unknown) == 152);
static_assert(offsetof(DevmemQueueMap, fragment_producer) == 192);
static_assert(offsetof(DevmemQueueMap, fragment_consumer) == 256);

// Gives tokens of one socket back.
struct DevmemQueueReturn {
  uint32_t cookie;
  uint32_t token_start;
  uint32_t token_count;  // 1 to kDevmemQueueMaxCount
  uint32_t reserved;
};
static_assert(sizeof(DevmemQueueReturn) == 16);

// Tells of a fragment, as a control message does otherwise.
struct DevmemQueueFragment {
  uint64_t frag_offset;
  uint32_t frag_size;
  uint32_t frag_token;
  uint32_t dmabuf_id;
  uint32_t cookie;
  uint32_t flags;
  uint32_t reserved;
};
static_assert(sizeof(DevmemQueueFragment) == 32);

// Its bytes are in the buffer of recvmsg: it has no offset, token or id.
inline constexpr uint32_t kDevmemFragmentLinear = 1;

}  // namespace devmem::uapi
