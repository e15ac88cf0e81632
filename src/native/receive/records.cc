#include "receive/records.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "receive/batch_writer.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

bool IsRecord(const cmsghdr& header) {
  return header.cmsg_level == SOL_SOCKET &&
         (header.cmsg_type == uapi::kSoDevmemDmabuf || header.cmsg_type == uapi::kSoDevmemLinear);
}

bool Inside(const uapi::DmabufCmsg& record, std::span<const Source> sources) {
  // Marks of the source column, which no dma-buf may pass for.
  if (record.dmabuf_id == kLinearSource || record.dmabuf_id == kReleasedSource) return false;
  for (const Source& source : sources) {
    if (source.id != record.dmabuf_id) continue;
    return record.frag_size <= source.size && record.frag_offset <= source.size - record.frag_size;
  }
  return false;
}

// Where a call's records go: copies of what the caller has, which nothing else can point
// at, so that they stay in registers from record to record.
struct Sink {
  BatchWriter out;
  RecordTotals totals;
  uint32_t records = 0;
  bool bad = false;

  void AddLinear(const uapi::DmabufCmsg& record, uint64_t linear_offset) {
    out.Add(linear_offset + totals.linear_bytes, record.frag_size, 0, kLinearSource);
    totals.linear_bytes += record.frag_size;
  }

  void AddDevice(const uapi::DmabufCmsg& record, std::span<const Source> sources) {
    bool valid = record.frag_size > 0 && Inside(record, sources);
    bad |= !valid;
    // Never as linear, whatever the record's id: the token must be found.
    out.Add(record.frag_offset, record.frag_size, record.frag_token,
            valid ? record.dmabuf_id : kReleasedSource);
    totals.device_bytes += record.frag_size;
    totals.device_frags++;
  }
};

// False where a message cannot be what it says, which ends the walk.
bool TakeRecords(std::span<const uint8_t> control, uint64_t linear_offset,
                 std::span<const Source> sources, Sink& sink) {
  while (control.size() >= sizeof(cmsghdr)) {
    cmsghdr header;
    std::memcpy(&header, control.data(), sizeof header);
    if (header.cmsg_len < sizeof header || header.cmsg_len > control.size()) return false;
    if (IsRecord(header)) {
      uapi::DmabufCmsg record;
      if (header.cmsg_len != CMSG_LEN(sizeof record) || sink.out.room() == 0) return false;
      std::memcpy(&record, control.data() + CMSG_LEN(0), sizeof record);
      sink.records++;
      if (header.cmsg_type == uapi::kSoDevmemDmabuf) {
        sink.AddDevice(record, sources);
      } else {
        sink.AddLinear(record, linear_offset);
      }
    }
    control = control.subspan(std::min<size_t>(CMSG_ALIGN(header.cmsg_len), control.size()));
  }
  return true;
}

}  // namespace

int ParseRecords(std::span<const uint8_t> control, uint64_t received, uint64_t linear_offset,
                 std::span<const Source> sources, BatchWriter& out, RecordTotals& totals) {
  Sink sink{out, totals};
  bool whole = TakeRecords(control, linear_offset, sources, sink);
  out = sink.out;
  totals = sink.totals;
  if (!whole || sink.bad) return -EBADMSG;
  if (sink.records == 0) {
    if (received > UINT32_MAX || out.room() == 0) return -EBADMSG;
    out.Add(linear_offset, static_cast<uint32_t>(received), 0, kLinearSource);
    totals.linear_bytes = received;
    return 0;
  }
  return totals.device_bytes + totals.linear_bytes == received ? 0 : -EBADMSG;
}

}  // namespace devmem
