#include "receive/records.h"

#include <cerrno>
#include <cstring>

#include "receive/batch_writer.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

enum class RecordKind { kOther, kLinear, kDevice };

RecordKind KindOf(const cmsghdr& header) {
  if (header.cmsg_level != SOL_SOCKET) return RecordKind::kOther;
  if (header.cmsg_type == uapi::kSoDevmemDmabuf) return RecordKind::kDevice;
  if (header.cmsg_type == uapi::kSoDevmemLinear) return RecordKind::kLinear;
  return RecordKind::kOther;
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

}  // namespace

int ParseRecords(std::span<const uint8_t> control, uint64_t received, uint64_t linear_offset,
                 std::span<const Source> sources, BatchWriter& out, RecordTotals& totals) {
  size_t at = 0;
  uint32_t records = 0;
  int status = 0;

  while (control.size() - at >= sizeof(cmsghdr)) {
    cmsghdr header;
    std::memcpy(&header, control.data() + at, sizeof header);
    if (header.cmsg_len < sizeof header || header.cmsg_len > control.size() - at) return -EBADMSG;

    RecordKind kind = KindOf(header);
    if (kind != RecordKind::kOther) {
      uapi::DmabufCmsg record;
      if (header.cmsg_len != CMSG_LEN(sizeof record)) return -EBADMSG;
      std::memcpy(&record, control.data() + at + CMSG_LEN(0), sizeof record);
      if (out.room() == 0) return -EBADMSG;
      records++;
      if (kind == RecordKind::kLinear) {
        out.Add(linear_offset + totals.linear_bytes, record.frag_size, 0, kLinearSource);
        totals.linear_bytes += record.frag_size;
      } else {
        bool valid = record.frag_size > 0 && Inside(record, sources);
        if (!valid) status = -EBADMSG;
        // Never as linear, whatever the record's id: the token must be found.
        out.Add(record.frag_offset, record.frag_size, record.frag_token,
                valid ? record.dmabuf_id : kReleasedSource);
        totals.device_bytes += record.frag_size;
        totals.device_frags++;
      }
    }

    size_t step = CMSG_ALIGN(header.cmsg_len);
    if (step > control.size() - at) break;
    at += step;
  }

  if (status != 0) return status;
  if (records == 0) {
    if (received > UINT32_MAX || out.room() == 0) return -EBADMSG;
    out.Add(linear_offset, static_cast<uint32_t>(received), 0, kLinearSource);
    totals.linear_bytes = received;
    return 0;
  }
  return totals.device_bytes + totals.linear_bytes == received ? 0 : -EBADMSG;
}

}  // namespace devmem
