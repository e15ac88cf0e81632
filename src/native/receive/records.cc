#include "receive/records.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "receive/batch_writer.h"
#include "receive/transport.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

bool IsRecord(const cmsghdr& header) {
  return header.cmsg_level == SOL_SOCKET &&
         (header.cmsg_type == uapi::kSoDevmemDmabuf || header.cmsg_type == uapi::kSoDevmemLinear);
}

// Whether a record of the source tells of bytes inside it.
bool Inside(const uapi::DmabufCmsg& record, const Source& source) {
  return record.frag_size > 0 && record.frag_size <= source.size &&
         record.frag_offset <= source.size - record.frag_size;
}

uint64_t Pages(const uapi::DmabufCmsg& record, const Source& source) {
  return PagesHeld(record.frag_offset, record.frag_size, source.page_shift);
}

void Charge(const Source& source, uint64_t pages) {
  source.credits->held += static_cast<double>(pages << source.page_shift);
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
    const Source* source = FindSource(sources, record.dmabuf_id);
    bool valid = source != nullptr && Inside(record, *source);
    bad |= !valid;
    if (valid) Charge(*source, Pages(record, *source));
    // Never as linear, whatever the record's id: the token must be found.
    out.Add(record.frag_offset, record.frag_size, record.frag_token,
            valid ? record.dmabuf_id : kReleasedSource);
    totals.device_bytes += record.frag_size;
    totals.device_frags++;
  }
};

// Takes the device records of one source that follow each other from the start of
// `control` on, which is nearly all that ever comes, up to anything else. Returns how
// many: each must be valid, whole, and have room. A function of its own, and the source
// a copy, so that all of it stays in registers.
[[gnu::noinline]] size_t TakeRun(std::span<const uint8_t> control, Source source, Sink& sink) {
  const size_t most = std::min<size_t>(control.size() / uapi::kRecordSpace, sink.out.room());
  BatchWriter out = sink.out;
  uint64_t bytes = 0;
  uint64_t pages = 0;
  size_t taken = 0;
  for (const uint8_t* at = control.data(); taken < most; at += uapi::kRecordSpace, taken++) {
    cmsghdr header;
    uapi::DmabufCmsg record;
    std::memcpy(&header, at, sizeof header);
    std::memcpy(&record, at + CMSG_LEN(0), sizeof record);
    if (header.cmsg_len != CMSG_LEN(sizeof record) || header.cmsg_level != SOL_SOCKET ||
        header.cmsg_type != uapi::kSoDevmemDmabuf || record.dmabuf_id != source.id ||
        !Inside(record, source)) {
      break;
    }
    out.Add(record.frag_offset, record.frag_size, record.frag_token, source.id);
    bytes += record.frag_size;
    pages += Pages(record, source);
  }
  Charge(source, pages);
  sink.out = out;
  sink.totals.device_bytes += bytes;
  sink.totals.device_frags += static_cast<uint32_t>(taken);
  sink.records += static_cast<uint32_t>(taken);
  return taken;
}

size_t TakeRun(std::span<const uint8_t> control, std::span<const Source> sources, Sink& sink) {
  if (control.size() < uapi::kRecordSpace) return 0;
  uapi::DmabufCmsg record;
  std::memcpy(&record, control.data() + CMSG_LEN(0), sizeof record);
  const Source* source = FindSource(sources, record.dmabuf_id);
  return source == nullptr ? 0 : TakeRun(control, *source, sink);
}

// False where a message cannot be what it says, which ends the walk.
bool TakeRecords(std::span<const uint8_t> control, uint64_t linear_offset,
                 std::span<const Source> sources, Sink& sink) {
  while (control.size() >= sizeof(cmsghdr)) {
    if (size_t run = TakeRun(control, sources, sink); run > 0) {
      control = control.subspan(run * uapi::kRecordSpace);
      continue;
    }
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

const Source* FindSource(std::span<const Source> sources, uint32_t id) {
  // No dma-buf may pass for a mark of the source column.
  if (id == kLinearSource || id == kReleasedSource) return nullptr;
  for (const Source& source : sources) {
    if (source.id == id) return &source;
  }
  return nullptr;
}

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
