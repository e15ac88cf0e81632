// recvmsg(MSG_SOCK_DEVMEM) and SO_DEVMEM_DONTNEED as net/ipv4/tcp.c and net/core/sock.c have
// them, over scripted data: what is queued on a socket, what calls are refused with, and
// where the records are false.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "check.h"
#include "control.h"
#include "dontneed.h"
#include "uapi/devmem.h"

namespace devmem::fuzz {

class CmsgKernel {
 public:
  enum class Kind { kLinear, kReadable, kDevice, kRefuse, kFalsify, kEnd, kCount };

  struct Step {
    uint8_t kind;
    uint8_t choice;  // dma-buf, error number or the byte's new value
    uint16_t size;   // bytes
    uint16_t place;  // in units of 64 bytes, or the byte to falsify
  };
  static_assert(sizeof(Step) == 6);

  // A piece of the stream, as the kernel handed it out.
  struct Piece {
    uint64_t offset;
    uint32_t size;
    uint32_t token;   // 0: linear
    uint32_t source;  // 0: linear
    uint8_t stamp;    // the first and last of its bytes, where those are linear
  };

  struct Terms {
    std::vector<Dmabuf> dmabufs;
    bool within_pages;        // device fragments lie in one page each, as a NIC's do
    uint32_t refused_return;  // which call to give tokens back fails
  };

  // What has happened, and how often.
  struct History {
    uint32_t calls = 0;
    uint32_t returns = 0;
    uint32_t held = 0;   // tokens
    int refusal = 0;     // error number of the last call refused
    bool spare = false;  // the last call could have given more, had there been any
    bool falsified = false;
    bool lost = false;  // tokens, with a return that was refused
    uint32_t refusals = 0;
    uint32_t ends = 0;
    uint32_t cuts = 0;  // calls whose control buffer was too small for all
    uint32_t readable = 0;
  };

  CmsgKernel(Terms terms, std::span<const Step> steps)
      : terms_(std::move(terms)), steps_(steps.begin(), steps.end()) {}

  const History& history() const { return history_; }
  bool drained() const { return steps_.empty(); }
  // Those of all calls since the last time.
  std::vector<Piece> TakePieces() { return std::exchange(pieces_, {}); }

  ssize_t Receive(msghdr& message) {
    history_.calls++;
    DEMAND(message.msg_iovlen == 1);
    iov_ = {static_cast<uint8_t*>(message.msg_iov->iov_base), message.msg_iov->iov_len};
    control_room_ = message.msg_controllen;
    control_.clear();
    linear_ = 0;
    ssize_t received = Deliver();
    if (received < 0) {
      errno = static_cast<int>(-received);
      return -1;
    }
    std::copy(control_.begin(), control_.end(), static_cast<uint8_t*>(message.msg_control));
    message.msg_controllen = control_.size();
    history_.spare = static_cast<size_t>(received) < iov_.size() && HasRecordRoom();
    return received;
  }

  int DontNeed(const void* list, size_t size) {
    std::vector<uint32_t> tokens = TokensNamed(list, size);
    if (history_.returns++ == terms_.refused_return) {
      history_.lost = true;
      errno = EFAULT;
      return -1;
    }
    int freed = 0;
    for (uint32_t token : tokens) {
      if (token == 0 || token > issued_.size() || !issued_[token - 1]) continue;
      issued_[token - 1] = false;
      freed++;
    }
    history_.held -= static_cast<uint32_t>(freed);
    return freed;
  }

 private:
  bool HasRecordRoom() const { return control_.size() + uapi::kRecordSpace <= control_room_; }

  ssize_t Deliver() {
    size_t delivered = 0;
    size_t falsified_byte = SIZE_MAX;
    uint8_t value = 0;
    while (!steps_.empty() && delivered < iov_.size()) {
      Step& step = steps_.front();
      Kind kind = static_cast<Kind>(step.kind % static_cast<uint8_t>(Kind::kCount));
      if (kind == Kind::kFalsify) {
        falsified_byte = step.place;
        value = step.choice;
        steps_.pop_front();
        continue;
      }
      if (kind == Kind::kRefuse || kind == Kind::kEnd) {
        if (delivered > 0) break;
        return Stop(kind, step);
      }
      if (step.size == 0) {
        steps_.pop_front();
        continue;
      }
      // Records and readable bytes never come from one call.
      if (delivered > 0 && (kind == Kind::kReadable) != control_.empty()) break;
      size_t taken = Take(kind, step, iov_.size() - delivered);
      if (taken == 0) break;
      delivered += taken;
    }
    if (falsified_byte < control_.size() && control_[falsified_byte] != value) {
      control_[falsified_byte] = value;
      history_.falsified = true;
    }
    return delivered > 0 ? static_cast<ssize_t>(delivered) : -EAGAIN;
  }

  ssize_t Stop(Kind kind, const Step& step) {
    constexpr int kErrors[] = {EINTR, EFAULT, ECONNRESET, EAGAIN, uapi::kETooSmall};
    history_.refusal = kind == Kind::kEnd ? 0 : kErrors[step.choice % std::size(kErrors)];
    history_.refusals += kind == Kind::kEnd ? 0 : 1;
    history_.ends += kind == Kind::kEnd ? 1 : 0;
    // An end lasts.
    if (kind != Kind::kEnd) steps_.pop_front();
    return -history_.refusal;
  }

  // Hands out up to `most` bytes of the step, the rest at the next call.
  size_t Take(Kind kind, Step& step, size_t most) {
    uint32_t size = static_cast<uint32_t>(std::min<size_t>(step.size, most));
    if (kind != Kind::kReadable && !HasRecordRoom()) {
      history_.cuts++;
      return 0;
    }
    if (kind == Kind::kDevice) {
      size = TakeDevice(step, size);
    } else {
      TakeLinear(kind, size);
    }
    step.size = static_cast<uint16_t>(step.size - size);
    step.place = static_cast<uint16_t>(step.place + size / 64);
    if (step.size == 0) steps_.pop_front();
    return size;
  }

  uint32_t TakeDevice(const Step& step, uint32_t most) {
    const Dmabuf& dmabuf = terms_.dmabufs[step.choice % terms_.dmabufs.size()];
    uint64_t offset = uint64_t{step.place} * 64 % dmabuf.size;
    uint64_t page = uint64_t{1} << dmabuf.page_shift;
    uint64_t end = terms_.within_pages ? (offset / page + 1) * page : dmabuf.size;
    uapi::DmabufCmsg record = {};
    record.frag_offset = offset;
    record.frag_size = static_cast<uint32_t>(std::min<uint64_t>(most, end - offset));
    record.frag_token = Issue();
    record.dmabuf_id = dmabuf.id;
    AppendRecord(control_, uapi::kSoDevmemDmabuf, record);
    pieces_.push_back({offset, record.frag_size, record.frag_token, dmabuf.id, 0});
    return record.frag_size;
  }

  void TakeLinear(Kind kind, uint32_t size) {
    WriteLinear(size, kind == Kind::kReadable && linear_ > 0);
    history_.readable += kind == Kind::kReadable ? 1 : 0;
    if (kind == Kind::kReadable) return;
    uapi::DmabufCmsg record = {};
    record.frag_size = size;
    AppendRecord(control_, uapi::kSoDevmemLinear, record);
  }

  // Readable bytes of one call are one piece, however they came.
  void WriteLinear(uint32_t size, bool more) {
    stamp_++;
    iov_[linear_ + size - 1] = stamp_;
    if (more) {
      pieces_.back().size += size;
      iov_[linear_ + size - 1] = pieces_.back().stamp;
    } else {
      iov_[linear_] = stamp_;
      pieces_.push_back({0, size, 0, kLinearSource, stamp_});
    }
    linear_ += size;
  }

  // The lowest token that is free, as the kernel's xarray gives them out.
  uint32_t Issue() {
    history_.held++;
    auto free = std::find(issued_.begin(), issued_.end(), false);
    size_t index = static_cast<size_t>(free - issued_.begin());
    if (free == issued_.end()) issued_.push_back(false);
    issued_[index] = true;
    return static_cast<uint32_t>(index) + 1;
  }

  Terms terms_;
  std::deque<Step> steps_;
  History history_;
  std::span<uint8_t> iov_;
  size_t control_room_ = 0;
  Bytes control_;
  size_t linear_ = 0;
  std::vector<Piece> pieces_;
  std::vector<bool> issued_;
  uint8_t stamp_ = 0;
};

}  // namespace devmem::fuzz
