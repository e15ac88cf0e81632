#include "receive/records.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "receive/batch_writer.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

bool IsRecord(const cmsghdr& header) {
  return header.cmsg_level == SOL_SOCKET &&
         (header.cmsg_type == uapi::kSoDevmemDmabuf || header.cmsg_type == uapi::kSoDevmemLinear);
}

template <typename T>
T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Whether a device record's header is there, compared as two words.
bool HasDeviceHeader(const uint8_t* at) {
  constexpr uint64_t kLength = CMSG_LEN(sizeof(uapi::DmabufCmsg));
  constexpr std::array kLevelAndType{SOL_SOCKET, uapi::kSoDevmemDmabuf};
  static_assert(CMSG_LEN(0) == 2 * sizeof(uint64_t));
  return Load<uint64_t>(at) == kLength &&
         std::memcmp(at + sizeof kLength, kLevelAndType.data(), sizeof kLevelAndType) == 0;
}

// A record, read field by field: a copy of all of it would go through memory.
class Record {
 public:
  static Record InMessage(const uint8_t* message) { return Record(message + CMSG_LEN(0)); }
  explicit Record(const uapi::DmabufCmsg& record)
      : Record(reinterpret_cast<const uint8_t*>(&record)) {}

  uint64_t offset() const { return Load<uint64_t>(at_); }
  uint32_t size() const { return Load<uint32_t>(at_ + offsetof(uapi::DmabufCmsg, frag_size)); }
  uint32_t token() const { return Load<uint32_t>(at_ + offsetof(uapi::DmabufCmsg, frag_token)); }
  uint32_t source() const { return Load<uint32_t>(at_ + offsetof(uapi::DmabufCmsg, dmabuf_id)); }

  // Whether it is one of this source, and tells of bytes inside it.
  bool LiesIn(const Source& where) const {
    // An empty one wraps around.
    return source() == where.id && uint64_t{size()} - 1 < where.size &&
           offset() <= where.size - size();
  }

  uint32_t PagesOf(const Source& where) const {
    return PagesHeld(offset(), size(), where.page_shift);
  }

 private:
  explicit Record(const uint8_t* at) : at_(at) {}

  const uint8_t* at_;
};

void Charge(const Source& source, uint64_t pages) {
  source.pool->Charge(*source.account, pages << source.page_shift);
}

// Where a call's records go: copies of what the caller has, which nothing else can point
// at, so that they stay in registers from record to record.
struct Sink {
  BatchWriter out;
  RecordTotals totals;
  uint32_t records = 0;
  bool bad = false;

  void AddLinear(const Record& record, uint64_t linear_offset) {
    out.Add(linear_offset + totals.linear_bytes, record.size(), 0, kLinearSource);
    totals.linear_bytes += record.size();
  }

  void AddDevice(const Record& record, std::span<const Source> sources) {
    const Source* source = FindSource(sources, record.source());
    bool valid = source != nullptr && record.LiesIn(*source);
    bad |= !valid;
    uint32_t pages = valid ? record.PagesOf(*source) : 0;
    if (valid) Charge(*source, pages);
    // Never as linear, whatever the record's id: the token must be found.
    out.Add(record.offset(), record.size(), record.token(), valid ? source->id : kReleasedSource,
            pages);
    totals.device_bytes += record.size();
    totals.device_frags++;
  }
};

// Takes the device records of one source that follow each other from the start of
// `control` on, which is nearly all that ever comes, up to anything else. Returns how
// many: each must be valid, whole, and have room. A function of its own, and the source
// a copy, so that all of it stays in registers.
[[gnu::noinline]] size_t TakeRun(std::span<const uint8_t> control, const Source source,
                                 Sink& sink) {
  const size_t most = std::min<size_t>(control.size() / uapi::kRecordSpace, sink.out.room());
  BatchWriter out = sink.out;
  uint64_t bytes = 0;
  uint64_t pages = 0;
  size_t taken = 0;
  for (const uint8_t* at = control.data(); taken < most; at += uapi::kRecordSpace, taken++) {
    Record record = Record::InMessage(at);
    if (!HasDeviceHeader(at) || !record.LiesIn(source)) break;
    uint32_t size = record.size();
    uint32_t held = record.PagesOf(source);
    bytes += size;
    pages += held;
    // Last: what it writes could be the record, as far as the compiler knows.
    out.Add(record.offset(), size, record.token(), source.id, held);
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
  const Source* source = FindSource(sources, Record::InMessage(control.data()).source());
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
    auto header = Load<cmsghdr>(control.data());
    if (header.cmsg_len < sizeof header || header.cmsg_len > control.size()) return false;
    if (IsRecord(header)) {
      if (header.cmsg_len != CMSG_LEN(sizeof(uapi::DmabufCmsg)) || sink.out.room() == 0) {
        return false;
      }
      Record record = Record::InMessage(control.data());
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

int AddRecords(std::span<const ToldRecord> told, uint64_t received, uint64_t linear_offset,
               std::span<const Source> sources, BatchWriter& out, RecordTotals& totals) {
  if (told.size() > out.room()) return -EBADMSG;
  Sink sink{out, totals};
  for (const ToldRecord& each : told) {
    if (each.linear) {
      sink.AddLinear(Record(each.record), linear_offset);
    } else {
      sink.AddDevice(Record(each.record), sources);
    }
  }
  out = sink.out;
  totals = sink.totals;
  bool whole = totals.device_bytes + totals.linear_bytes == received;
  return sink.bad || !whole ? -EBADMSG : 0;
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
