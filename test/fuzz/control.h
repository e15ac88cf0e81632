// Control buffers as bytes: building them, and an account of what a parser has
// to make of one, written apart from the parser to be held against it.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "input.h"
#include "receive/batch_writer.h"
#include "uapi/devmem.h"

namespace devmem::fuzz {

using Bytes = std::vector<uint8_t>;

// Memory that fragments may lie in.
struct Dmabuf {
  uint32_t id;
  uint64_t size;  // bytes
  uint32_t page_shift;

  // The pages that bytes of it lie in.
  uint64_t PagesOf(uint64_t offset, uint64_t bytes) const {
    uint64_t page = uint64_t{1} << page_shift;
    return (offset + bytes - 1) / page - offset / page + 1;
  }
};

// Appends one control message with its padding, as the kernel's put_cmsg does.
inline void AppendMessage(Bytes& control, int level, int type, const void* data, size_t size) {
  size_t at = control.size();
  control.resize(at + CMSG_SPACE(size));
  cmsghdr header = {};
  header.cmsg_len = CMSG_LEN(size);
  header.cmsg_level = level;
  header.cmsg_type = type;
  std::memcpy(control.data() + at, &header, sizeof header);
  if (size > 0) std::memcpy(control.data() + at + CMSG_LEN(0), data, size);
}

inline void AppendRecord(Bytes& control, int type, const uapi::DmabufCmsg& record) {
  AppendMessage(control, SOL_SOCKET, type, &record, sizeof record);
}

// What one call came to. The order of the faults is that of their discovery.
enum class Verdict {
  kReadable,     // no record at all: one linear fragment
  kDevice,       // device records alone
  kLinear,       // linear records alone
  kMixed,        // both
  kShortLength,  // a message shorter than its own header
  kLongLength,   // a message that leaves the buffer
  kRecordSize,   // a record that is not as long as records are
  kNoRoom,       // more records than the batch has room for
  kBadId,        // a fragment of a dma-buf that nobody bound
  kBadRange,     // a fragment that leaves its dma-buf
  kEmpty,        // a fragment without bytes
  kTotal,        // bytes that do not add up
  kTooMany,      // readable bytes that a descriptor cannot count
  kCount
};
inline constexpr const char* kVerdictNames[] = {
    "readable", "device", "linear", "mixed",    "short length", "long length", "record size",
    "no room",  "bad id", "range",  "no bytes", "wrong total",  "too many"};
static_assert(sizeof kVerdictNames / sizeof *kVerdictNames == static_cast<size_t>(Verdict::kCount));

struct Expectation {
  Verdict verdict = Verdict::kReadable;
  bool foreign = false;          // messages of other kinds lie among the records
  std::vector<uint32_t> tokens;  // of the device records before a fault ended the walk
  std::vector<uint64_t> pages;   // that the valid ones among them hold, by dma-buf
  uint64_t device_bytes = 0;
  uint64_t linear_bytes = 0;
  uint32_t records = 0;

  bool accepted() const { return verdict <= Verdict::kMixed; }
};

// True for an id that the columns cannot tell from their own marks.
inline bool Reserved(uint32_t id) {
  return id == kLinearSource || id == kReleasedSource;
}

// Where its dma-buf is in the table; where there are two of an id, the first counts.
inline size_t FindDmabuf(uint32_t id, std::span<const Dmabuf> table) {
  size_t index = 0;
  while (index < table.size() && table[index].id != id) index++;
  return index;
}

inline Verdict JudgeRange(const uapi::DmabufCmsg& record, std::span<const Dmabuf> table) {
  if (record.frag_size == 0) return Verdict::kEmpty;
  size_t index = FindDmabuf(record.dmabuf_id, table);
  if (Reserved(record.dmabuf_id) || index == table.size()) return Verdict::kBadId;
  unsigned __int128 end = record.frag_offset;
  end += record.frag_size;
  return end <= table[index].size ? Verdict::kDevice : Verdict::kBadRange;
}

// Adds what one record says. False where the walk ends with it.
inline bool JudgeRecord(const uint8_t* message, size_t length, int type, uint32_t room,
                        std::span<const Dmabuf> table, Expectation& expected, Verdict& fault) {
  if (length != CMSG_LEN(sizeof(uapi::DmabufCmsg))) {
    expected.verdict = Verdict::kRecordSize;
    return false;
  }
  if (expected.records == room) {
    expected.verdict = Verdict::kNoRoom;
    return false;
  }
  auto record = Load<uapi::DmabufCmsg>(message + CMSG_LEN(0));
  expected.records++;
  if (type == uapi::kSoDevmemLinear) {
    expected.linear_bytes += record.frag_size;
    return true;
  }
  expected.tokens.push_back(record.frag_token);
  expected.device_bytes += record.frag_size;
  Verdict verdict = JudgeRange(record, table);
  if (verdict == Verdict::kDevice) {
    size_t index = FindDmabuf(record.dmabuf_id, table);
    expected.pages[index] += table[index].PagesOf(record.frag_offset, record.frag_size);
  } else if (fault == Verdict::kDevice) {
    fault = verdict;
  }
  return true;
}

inline Verdict JudgeTotals(const Expectation& expected, uint64_t received, uint32_t room) {
  if (expected.records == 0) {
    if (received > UINT32_MAX) return Verdict::kTooMany;
    return room == 0 ? Verdict::kNoRoom : Verdict::kReadable;
  }
  if (expected.device_bytes + expected.linear_bytes != received) return Verdict::kTotal;
  if (expected.tokens.empty()) return Verdict::kLinear;
  return expected.tokens.size() == expected.records ? Verdict::kDevice : Verdict::kMixed;
}

inline Expectation Judge(std::span<const uint8_t> control, uint64_t received, uint32_t room,
                         std::span<const Dmabuf> table) {
  Expectation expected;
  expected.pages.resize(table.size());
  Verdict fault = Verdict::kDevice;
  for (size_t at = 0; at + sizeof(cmsghdr) <= control.size();) {
    const uint8_t* message = control.data() + at;
    size_t left = control.size() - at;
    size_t length = Load<size_t>(message);
    if (length < sizeof(cmsghdr) || length > left) {
      expected.verdict = length > left ? Verdict::kLongLength : Verdict::kShortLength;
      return expected;
    }
    int level = Load<int>(message + offsetof(cmsghdr, cmsg_level));
    int type = Load<int>(message + offsetof(cmsghdr, cmsg_type));
    bool record =
        level == SOL_SOCKET && (type == uapi::kSoDevmemDmabuf || type == uapi::kSoDevmemLinear);
    expected.foreign |= !record;
    if (record && !JudgeRecord(message, length, type, room, table, expected, fault)) {
      return expected;
    }
    at += (length + sizeof(size_t) - 1) / sizeof(size_t) * sizeof(size_t);
  }
  expected.verdict = fault != Verdict::kDevice ? fault : JudgeTotals(expected, received, room);
  return expected;
}

}  // namespace devmem::fuzz
