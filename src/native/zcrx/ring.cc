#include "zcrx/ring.h"

#include <algorithm>
#include <cstring>

namespace devmem {

namespace {

constexpr size_t kCqeSize = 32;  // IORING_SETUP_CQE32

uint32_t LoadAcquire(const uint32_t* at) {
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

void StoreRelease(uint32_t* at, uint32_t value) {
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

}  // namespace

int Ring::Open(uint32_t submissions, uint32_t completions) {
  io_uring_params params = {};
  params.flags = IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_CQSIZE | uapi::kSetupNoSqarray;
  params.cq_entries = completions;
  int fd = uapi::IoUringSetup(submissions, &params);
  if (fd < 0) return fd;
  fd_.Reset(fd);
  size_t rings = params.cq_off.cqes + params.cq_entries * kCqeSize;
  int status = rings_.Map(rings, fd, IORING_OFF_SQ_RING);
  if (status == 0) {
    status = sqes_.Map(params.sq_entries * sizeof(io_uring_sqe), fd, IORING_OFF_SQES);
  }
  if (status != 0) {
    Close();
    return status;
  }
  sq_entries_ = params.sq_entries;
  sq_head_ = reinterpret_cast<uint32_t*>(rings_.at(params.sq_off.head));
  sq_tail_shared_ = reinterpret_cast<uint32_t*>(rings_.at(params.sq_off.tail));
  cq_head_shared_ = reinterpret_cast<uint32_t*>(rings_.at(params.cq_off.head));
  cq_tail_ = reinterpret_cast<uint32_t*>(rings_.at(params.cq_off.tail));
  cq_mask_ = *reinterpret_cast<uint32_t*>(rings_.at(params.cq_off.ring_mask));
  cqes_ = rings_.at(params.cq_off.cqes);
  return 0;
}

// A mapping refers to the ring too: the kernel lets go of it after the last one.
void Ring::Close() {
  rings_.Reset();
  sqes_.Reset();
  fd_.Reset();
}

io_uring_sqe* Ring::Next() {
  if (sq_tail_ - LoadAcquire(sq_head_) == sq_entries_) {
    Enter();
    if (sq_tail_ - LoadAcquire(sq_head_) == sq_entries_) return nullptr;
  }
  auto* sqes = reinterpret_cast<io_uring_sqe*>(sqes_.at(0));
  io_uring_sqe* sqe = &sqes[sq_tail_++ & (sq_entries_ - 1)];
  std::memset(sqe, 0, sizeof *sqe);
  return sqe;
}

bool Ring::Withdraw(uint64_t user_data) {
  auto* sqes = reinterpret_cast<io_uring_sqe*>(sqes_.at(0));
  bool found = false;
  for (uint32_t at = LoadAcquire(sq_head_); at != sq_tail_; at++) {
    io_uring_sqe& sqe = sqes[at & (sq_entries_ - 1)];
    if (sqe.user_data != user_data) continue;
    sqe = {};
    sqe.opcode = IORING_OP_NOP;
    sqe.user_data = user_data;
    found = true;
  }
  return found;
}

int Ring::Enter() {
  StoreRelease(sq_tail_shared_, sq_tail_);
  int status;
  do {
    status = uapi::IoUringEnter(fd_.get(), pending(), 0, IORING_ENTER_GETEVENTS);
  } while (status == -EINTR);
  sq_submitted_ = LoadAcquire(sq_head_);
  return std::min(status, 0);
}

bool Ring::Take(Completion& completion) {
  if (cq_head_ == LoadAcquire(cq_tail_)) return false;
  const uint8_t* at = cqes_ + (cq_head_ & cq_mask_) * kCqeSize;
  io_uring_cqe cqe;
  std::memcpy(&cqe, at, sizeof cqe);
  completion.user_data = cqe.user_data;
  completion.result = cqe.res;
  completion.flags = cqe.flags;
  std::memcpy(&completion.offset, at + sizeof cqe, sizeof completion.offset);
  StoreRelease(cq_head_shared_, ++cq_head_);
  return true;
}

}  // namespace devmem
