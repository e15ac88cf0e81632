// The kernel's devmem TCP receive ABI, for building where the distribution's
// headers lack it (before Linux 6.12) and for MSG_SOCK_DEVMEM, which no uapi
// header carries.
//
// Sources: include/linux/socket.h (MSG_SOCK_DEVMEM),
// include/uapi/asm-generic/socket.h (SO_DEVMEM_*), include/uapi/linux/uio.h
// (struct dmabuf_cmsg, struct dmabuf_token), net/core/sock.c (the limits).
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace devmem::uapi {

inline constexpr int kMsgSockDevmem = 0x2000000;

#if defined(__hppa__)
inline constexpr int kSoDevmemLinear = 0x404E;
inline constexpr int kSoDevmemDmabuf = 0x404F;
inline constexpr int kSoDevmemDontneed = 0x4050;
#elif defined(__sparc__)
inline constexpr int kSoDevmemLinear = 0x57;
inline constexpr int kSoDevmemDmabuf = 0x58;
inline constexpr int kSoDevmemDontneed = 0x59;
#else
inline constexpr int kSoDevmemLinear = 78;
inline constexpr int kSoDevmemDmabuf = 79;
inline constexpr int kSoDevmemDontneed = 80;
#endif

// A control message's payload: where one fragment of the stream lies.
struct DmabufCmsg {
  uint64_t frag_offset;  // bytes from the start of the dma-buf
  uint32_t frag_size;    // bytes
  uint32_t frag_token;   // 1..2^31-1, per socket; unset in a LINEAR record
  uint32_t dmabuf_id;    // the binding, as BIND_RX returned it
  uint32_t flags;        // none defined so far
};
static_assert(sizeof(DmabufCmsg) == 24);
static_assert(offsetof(DmabufCmsg, frag_size) == 8);
static_assert(offsetof(DmabufCmsg, frag_token) == 12);
static_assert(offsetof(DmabufCmsg, dmabuf_id) == 16);

// SO_DEVMEM_DONTNEED takes an array of these: consecutive tokens to give back.
struct DmabufToken {
  uint32_t token_start;
  uint32_t token_count;
};
static_assert(sizeof(DmabufToken) == 8);

// net/core/sock.c: MAX_DONTNEED_TOKENS and MAX_DONTNEED_FRAGS, for one call.
inline constexpr uint32_t kMaxDontneedRanges = 128;
inline constexpr uint32_t kMaxDontneedFrags = 1024;

// Control buffer space that one record takes.
inline constexpr size_t kRecordSpace = CMSG_SPACE(sizeof(DmabufCmsg));

// The kernel's ETOOSMALL (include/linux/errno.h), which no libc names: the
// control buffer could not hold a single record.
inline constexpr int kETooSmall = 525;

}  // namespace devmem::uapi
