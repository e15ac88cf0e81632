// Changes inputs of the target `records`, knowing what a record is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "control.h"
#include "record_input.h"

namespace devmem::fuzz {

// Each mutation leaves the rest as it was, so that nearly valid buffers, where the mistakes
// are, stay frequent.
class RecordMutator {
 public:
  RecordMutator(RecordInput& input, unsigned seed) : input_(input), random_(seed) {}

  void Mutate() {
    switch (Below(9)) {
      case 0:
        return Append(uapi::kSoDevmemDmabuf);
      case 1:
        return Append(uapi::kSoDevmemLinear);
      case 2:
        return AppendForeign();
      case 3:
        return Drop();
      case 4:
        return Repeat();
      case 5:
        return ChangeField();
      case 6:
        return ChangeLength();
      case 7:
        return input_.control.resize(Below(input_.control.size() + 1));
      default:
        return ChangeParameters();
    }
  }

  // Makes the byte count right: without it, hardly an input would be accepted.
  void Balance() {
    Expectation expected = Judge(input_.control, 0, kSlotCapacity, input_.table());
    if (expected.records > 0) {
      input_.parameters.received = expected.device_bytes + expected.linear_bytes;
    }
  }

  uint64_t Below(uint64_t bound) { return random_() % bound; }

 private:
  void Append(int type) {
    uapi::DmabufCmsg record = {};
    record.frag_size = static_cast<uint32_t>(1 + Below(8192));
    record.frag_token = static_cast<uint32_t>(random_());
    std::vector<Dmabuf> table = input_.table();
    if (type == uapi::kSoDevmemDmabuf && !table.empty()) {
      const Dmabuf& dmabuf = table[Below(table.size())];
      record.dmabuf_id = dmabuf.id;
      if (dmabuf.size > 0) {
        record.frag_size = static_cast<uint32_t>(1 + Below(std::min<uint64_t>(dmabuf.size, 8192)));
        record.frag_offset = Below(dmabuf.size - record.frag_size + 1);
      }
    }
    AppendRecord(input_.control, type, record);
  }

  void AppendForeign() {
    uint64_t times[2] = {random_(), random_()};
    AppendMessage(input_.control, SOL_SOCKET, SCM_TIMESTAMP, times, Below(sizeof times + 1));
  }

  // Where messages begin, as far as their lengths make sense.
  std::vector<size_t> Starts() const {
    std::vector<size_t> starts;
    const Bytes& control = input_.control;
    for (size_t at = 0; at + sizeof(cmsghdr) <= control.size();) {
      starts.push_back(at);
      size_t length = Load<size_t>(control.data() + at);
      if (length < sizeof(cmsghdr) || length > control.size() - at) break;
      at += CMSG_ALIGN(length);
    }
    return starts;
  }

  // One message's bytes, up to the next; nothing where there is none.
  std::pair<size_t, size_t> Pick() {
    std::vector<size_t> starts = Starts();
    if (starts.empty()) return {0, 0};
    size_t index = Below(starts.size());
    size_t end = index + 1 < starts.size() ? starts[index + 1] : input_.control.size();
    return {starts[index], end};
  }

  void Drop() {
    auto [begin, end] = Pick();
    input_.control.erase(input_.control.begin() + static_cast<ptrdiff_t>(begin),
                         input_.control.begin() + static_cast<ptrdiff_t>(end));
  }

  void Repeat() {
    auto [begin, end] = Pick();
    Bytes message(input_.control.begin() + static_cast<ptrdiff_t>(begin),
                  input_.control.begin() + static_cast<ptrdiff_t>(end));
    for (uint64_t times = uint64_t{1} << Below(7); times > 0; times--) {
      input_.control.insert(input_.control.end(), message.begin(), message.end());
    }
  }

  template <typename T>
  void Store(size_t at, T value) {
    if (at + sizeof value <= input_.control.size()) {
      std::memcpy(input_.control.data() + at, &value, sizeof value);
    }
  }

  // A value at an edge, or next to one.
  uint64_t Edge() {
    std::vector<Dmabuf> table = input_.table();
    uint64_t edges[] = {0,
                        4096,
                        UINT32_MAX,
                        uint64_t{1} << 32,
                        UINT64_MAX,
                        uint64_t{1} << 63,
                        uint64_t{1} << 53,
                        table.empty() ? 0 : table[Below(table.size())].size,
                        table.empty() ? 0 : table[Below(table.size())].id};
    return edges[Below(std::size(edges))] + Below(3) - 1;
  }

  void ChangeField() {
    auto [begin, end] = Pick();
    size_t payload = begin + CMSG_LEN(0);
    switch (Below(6)) {
      case 0:
        return Store(payload + offsetof(uapi::DmabufCmsg, frag_offset), Edge());
      case 1:
        return Store(payload + offsetof(uapi::DmabufCmsg, frag_size),
                     static_cast<uint32_t>(Edge()));
      case 2:
        return Store(payload + offsetof(uapi::DmabufCmsg, frag_token),
                     static_cast<uint32_t>(random_()));
      case 3:
        return Store(payload + offsetof(uapi::DmabufCmsg, dmabuf_id),
                     static_cast<uint32_t>(Edge()));
      case 4:
        return Store(begin + offsetof(cmsghdr, cmsg_level), static_cast<int>(Below(3)));
      default:
        return Store(begin + offsetof(cmsghdr, cmsg_type), static_cast<int>(77 + Below(4)));
    }
  }

  void ChangeLength() {
    auto [begin, end] = Pick();
    size_t lengths[] = {0,
                        CMSG_LEN(0) - 1,
                        CMSG_LEN(0),
                        CMSG_LEN(sizeof(uapi::DmabufCmsg)) + Below(3) - 1,
                        end - begin + Below(3) - 1,
                        input_.control.size() - begin + Below(3) - 1,
                        SIZE_MAX - Below(16),
                        Below(256)};
    Store(begin, lengths[Below(std::size(lengths))]);
  }

  void ChangeParameters() {
    RecordParameters& parameters = input_.parameters;
    switch (Below(6)) {
      case 0:
        parameters.received = Below(2) == 0 ? Edge() : parameters.received + Below(3) - 1;
        return;
      case 1:
        parameters.source_size[Below(RecordParameters::kSources)] = Edge();
        return;
      case 2:
        parameters.source_id[Below(RecordParameters::kSources)] = static_cast<uint32_t>(Edge());
        return;
      case 5:
        parameters.page_shift[Below(RecordParameters::kSources)] = static_cast<uint8_t>(Below(256));
        return;
      case 3:
        parameters.used = static_cast<uint16_t>(kSlotCapacity - Below(4));
        return;
      default:
        parameters.sources = static_cast<uint16_t>(Below(RecordParameters::kSources + 1));
        return;
    }
  }

  RecordInput& input_;
  std::minstd_rand random_;
};

}  // namespace devmem::fuzz
