// An io_uring: its two queues, and submitting to it. Used by the thread that opened it
// alone, as the kernel demands (IORING_SETUP_SINGLE_ISSUER).
#pragma once

#include <cstdint>

#include "support/mapped.h"
#include "support/unique_fd.h"
#include "uapi/io_uring.h"

namespace devmem {

struct Completion {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
  uint64_t offset;  // of a RECV_ZC completion: in the area, with its token
};

class Ring {
 public:
  // 0 or -errno of io_uring_setup(2) or mmap(2).
  int Open(uint32_t submissions, uint32_t completions);
  // The kernel ends what is under way, and gives up what was registered, soon after.
  void Close();
  bool open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }

  int Register(unsigned opcode, void* argument, unsigned count) {
    return uapi::IoUringRegister(fd_.get(), opcode, argument, count);
  }

  // Cleared, to be filled before the next call; null where the kernel takes none now.
  io_uring_sqe* Next();
  uint32_t pending() const { return sq_tail_ - sq_submitted_; }
  // Has a request that the kernel has not taken yet do nothing. Whether there was one.
  bool Withdraw(uint64_t user_data);

  // Submits what is pending and lets the kernel do its part: with
  // IORING_SETUP_DEFER_TASKRUN nothing is received before. 0 or -errno.
  int Enter();

  // The next completion; false where there is none.
  bool Take(Completion& completion);

 private:
  UniqueFd fd_;
  Mapped rings_;
  Mapped sqes_;
  const uint32_t* sq_head_ = nullptr;
  uint32_t* sq_tail_shared_ = nullptr;
  uint32_t* cq_head_shared_ = nullptr;
  const uint32_t* cq_tail_ = nullptr;
  const uint8_t* cqes_ = nullptr;
  uint32_t sq_entries_ = 0;
  uint32_t cq_mask_ = 0;
  uint32_t sq_tail_ = 0;
  uint32_t sq_submitted_ = 0;
  uint32_t cq_head_ = 0;
};

}  // namespace devmem
