// The kernel's io_uring ABI as far as zero-copy receive (zcrx) needs more than Linux 6.1's
// headers have, and its three system calls, which no libc has.
//
// Sources: include/uapi/linux/io_uring.h, include/uapi/linux/io_uring/zcrx.h and query.h of
// Linux 7.3.
#pragma once

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace devmem::uapi {

inline constexpr uint8_t kOpRecvZc = 58;
inline constexpr uint16_t kRecvMultishot = 1 << 1;  // in ioprio
inline constexpr uint32_t kSetupNoSqarray = 1 << 16;

inline constexpr unsigned kRegisterZcrxIfq = 32;
inline constexpr unsigned kRegisterQuery = 35;
inline constexpr unsigned kRegisterZcrxCtrl = 36;

// A buffer given back: one for each completion that referred to it.
struct ZcrxRqe {
  uint64_t off;  // in the area, with its token
  uint32_t len;
  uint32_t pad;
};
static_assert(sizeof(ZcrxRqe) == 16);

inline constexpr uint32_t kZcrxAreaShift = 48;
inline constexpr uint64_t kZcrxOffsetMask = (uint64_t{1} << kZcrxAreaShift) - 1;
inline constexpr uint32_t kZcrxAreaDmabuf = 1;
inline constexpr uint32_t kZcrxMostEntries = 32768;  // io_uring/zcrx.c IO_RQ_MAX_ENTRIES

struct ZcrxOffsets {
  uint32_t head;
  uint32_t tail;
  uint32_t rqes;
  uint32_t resv2;
  uint64_t resv[2];
};

struct ZcrxAreaReg {
  uint64_t addr;
  uint64_t len;
  uint64_t rq_area_token;
  uint32_t flags;
  uint32_t dmabuf_fd;
  uint64_t resv2[2];
};
static_assert(sizeof(ZcrxAreaReg) == 48);

inline constexpr uint32_t kRegionTypeUser = 1;

struct RegionDesc {
  uint64_t user_addr;
  uint64_t size;
  uint32_t flags;
  uint32_t id;
  uint64_t mmap_offset;
  uint64_t resv[4];
};
static_assert(sizeof(RegionDesc) == 64);

struct ZcrxIfqReg {
  uint32_t if_idx;
  uint32_t if_rxq;
  uint32_t rq_entries;
  uint32_t flags;
  uint64_t area_ptr;
  uint64_t region_ptr;
  ZcrxOffsets offsets;
  uint32_t zcrx_id;
  uint32_t rx_buf_len;
  uint64_t event_desc;
  uint64_t resv[2];
};
static_assert(sizeof(ZcrxIfqReg) == 96);

// Events, by bit of ZcrxEventDesc::type_mask; each comes once, until it is armed again.
inline constexpr uint32_t kZcrxEventAllocFail = 0;

struct ZcrxEventDesc {
  uint64_t user_data;
  uint32_t type_mask;
  uint32_t flags;
  uint64_t stats_offset;
  uint64_t resv2[9];
};
static_assert(sizeof(ZcrxEventDesc) == 96);

inline constexpr uint32_t kZcrxCtrlFlushRq = 0;
inline constexpr uint32_t kZcrxCtrlArmEvent = 2;

struct ZcrxCtrl {
  uint32_t zcrx_id;
  uint32_t op;
  uint64_t resv[2];
  union {
    uint32_t event_type;
    uint64_t space[6];
  };
};
static_assert(sizeof(ZcrxCtrl) == 72);

inline constexpr uint32_t kQueryZcrx = 1;

struct QueryHdr {
  uint64_t next_entry;
  uint64_t query_data;
  uint32_t query_op;
  uint32_t size;
  int32_t result;
  uint32_t resv[3];
};
static_assert(sizeof(QueryHdr) == 40);

inline constexpr uint32_t kZcrxFeatureRxPageSize = 1 << 0;
inline constexpr uint32_t kZcrxFeatureEvent = 1 << 1;

struct QueryZcrxAnswer {
  uint64_t register_flags;
  uint64_t area_flags;
  uint32_t nr_ctrl_opcodes;
  uint32_t features;
  uint32_t rq_hdr_size;
  uint32_t rq_hdr_alignment;
  uint64_t resv2;
};
static_assert(sizeof(QueryZcrxAnswer) == 40);

// The system calls, each a result or -errno.

inline int IoUringSetup(uint32_t entries, io_uring_params* params) {
  long result = syscall(__NR_io_uring_setup, entries, params);
  return result < 0 ? -errno : static_cast<int>(result);
}

inline int IoUringEnter(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags) {
  long result = syscall(__NR_io_uring_enter, fd, to_submit, min_complete, flags, nullptr, 0);
  return result < 0 ? -errno : static_cast<int>(result);
}

inline int IoUringRegister(int fd, unsigned opcode, void* argument, unsigned count) {
  long result = syscall(__NR_io_uring_register, fd, opcode, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace devmem::uapi
