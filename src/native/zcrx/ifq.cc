#include "zcrx/ifq.h"

#include <algorithm>
#include <bit>

namespace devmem {

namespace {

constexpr uint32_t kSubmissions = 256;
// What one wake can take, of all sockets together: also what may be held beyond a limit.
constexpr uint32_t kCompletions = 1024;
// The header of the refill ring is less than that (io_allocate_rbuf_ring).
constexpr size_t kHeaderSize = 4096;
constexpr size_t kPage = 4096;

uint32_t EntriesFor(const Ifq::Request& request) {
  uint64_t buffers = request.size / std::max<uint64_t>(request.buffer_size, kPage);
  uint64_t entries = std::bit_ceil(std::max<uint64_t>(buffers, kPage / sizeof(uapi::ZcrxRqe)));
  return static_cast<uint32_t>(std::min<uint64_t>(entries, uapi::kZcrxMostEntries));
}

template <typename T>
uint64_t Address(T* of) {
  return reinterpret_cast<uintptr_t>(of);
}

}  // namespace

int Ifq::Open() {
  return ring_.Open(kSubmissions, kCompletions);
}

int Ifq::Register(const Request& request) {
  uint32_t entries = EntriesFor(request);
  size_t region_size = kHeaderSize + entries * sizeof(uapi::ZcrxRqe);
  int status = region_.Map(region_size);
  if (status != 0) return status;
  uapi::RegionDesc region = {};
  region.user_addr = Address(region_.at(0));
  region.size = region_size;
  region.flags = uapi::kRegionTypeUser;
  uapi::ZcrxAreaReg area = {};
  area.len = request.size;
  area.flags = uapi::kZcrxAreaDmabuf;
  area.dmabuf_fd = static_cast<uint32_t>(request.dmabuf);
  uapi::ZcrxEventDesc events = {};
  events.user_data = kAllocFail;
  events.type_mask = 1 << uapi::kZcrxEventAllocFail;
  uapi::ZcrxIfqReg ifq = {};
  ifq.if_idx = request.interface_index;
  ifq.if_rxq = request.queue;
  ifq.rq_entries = entries;
  ifq.area_ptr = Address(&area);
  ifq.region_ptr = Address(&region);
  ifq.rx_buf_len = request.buffer_size;
  if (request.events) ifq.event_desc = Address(&events);
  status = ring_.Register(uapi::kRegisterZcrxIfq, &ifq, 1);
  if (status < 0) {
    region_.Reset();
    return status;
  }
  id_ = ifq.zcrx_id;
  refill_.Attach(region_.at(0), ifq.offsets, ifq.rq_entries, area.rq_area_token);
  return 0;
}

void Ifq::Close() {
  refill_.Detach();
  ring_.Close();
  region_.Reset();
}

int Ifq::Publish() {
  int calls = 0;
  size_t before = SIZE_MAX;
  // A flush ends at an entry that makes no sense to the kernel, behind which it goes on the
  // next time: so again, as long as it takes any.
  while (!refill_.Publish() && refill_.waiting() < before) {
    before = refill_.waiting();
    int status = Control(uapi::kZcrxCtrlFlushRq, 0);
    calls++;
    if (status < 0) return status;
  }
  return calls;
}

void Ifq::ArmAllocFail() {
  if (registered()) Control(uapi::kZcrxCtrlArmEvent, uapi::kZcrxEventAllocFail);
}

int Ifq::Control(uint32_t op, uint32_t event) {
  uapi::ZcrxCtrl control = {};
  control.zcrx_id = id_;
  control.op = op;
  control.event_type = event;
  return ring_.Register(uapi::kRegisterZcrxCtrl, &control, 0);
}

}  // namespace devmem
