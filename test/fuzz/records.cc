// Fuzzes ParseRecords: any control buffer, any parameters.
//
// An input is a Parameters block followed by the control buffer, verbatim.
#include "receive/records.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>
#include <optional>
#include <random>

#include "check.h"
#include "columns.h"
#include "control.h"
#include "receive/transport.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace devmem::fuzz {

namespace {

constexpr size_t kMaxSources = 3;
// Sizes come from a JavaScript number, and so do offsets within them.
constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;

struct Parameters {
  uint64_t received;
  uint64_t source_size[kMaxSources];
  uint32_t source_id[kMaxSources];
  uint32_t linear_offset;
  uint16_t used;  // descriptors in the slot before the call
  uint16_t sources;
  uint32_t unused;
};
static_assert(sizeof(Parameters) == 56);

// The credits of all sources.
Credits& Charged() {
  static Credits credits;
  return credits;
}

struct Input {
  Parameters parameters;
  Bytes control;

  std::vector<Source> sources() const {
    std::vector<Source> table;
    for (size_t i = 0; i < parameters.sources % (kMaxSources + 1); i++) {
      uint64_t size = parameters.source_size[i] & kMaxSafeInteger;
      table.push_back({parameters.source_id[i], size, &Charged()});
    }
    return table;
  }
};

std::optional<Input> Decode(const uint8_t* data, size_t size) {
  if (size < sizeof(Parameters)) return std::nullopt;
  return Input{Load<Parameters>(data), Bytes(data + sizeof(Parameters), data + size)};
}

void CheckAccepted(const BatchWriter& out, const Input& input, const RecordTotals& totals) {
  uint64_t linear_offset = input.parameters.linear_offset;
  uint64_t linear = 0;
  uint64_t device = 0;
  uint64_t pages = 0;
  uint32_t frags = 0;
  std::vector<Source> sources = input.sources();
  for (uint32_t i = 0; i < out.count(); i++) {
    if (out.source(i) == kLinearSource) {
      DEMAND(out.offset(i) == linear_offset + linear);
      DEMAND(out.token(i) == 0);
      linear += out.size(i);
    } else {
      DEMAND(out.source(i) != kReleasedSource);
      DEMAND(out.size(i) > 0);
      DEMAND(std::any_of(sources.begin(), sources.end(), [&](const Source& source) {
        return source.id == out.source(i) && out.offset(i) + out.size(i) <= source.size;
      }));
      device += out.size(i);
      pages += PagesHeld(out.offset(i), out.size(i), Source{}.page_shift);
      frags++;
    }
  }
  DEMAND(linear + device == input.parameters.received);
  DEMAND(totals.linear_bytes == linear);
  DEMAND(totals.device_bytes == device);
  DEMAND(totals.device_frags == frags);
  DEMAND(Charged().held == static_cast<double>(pages << Source{}.page_shift));
}

// The tokens that the caller can give back, accepted or not.
std::vector<uint32_t> TokensIn(const BatchWriter& out) {
  std::vector<uint32_t> tokens;
  for (uint32_t i = 0; i < out.count(); i++) {
    if (out.source(i) != kLinearSource) tokens.push_back(out.token(i));
  }
  return tokens;
}

void Count(const Expectation& expected) {
  static constexpr size_t kForeign = std::size(kVerdictNames);
  static const std::vector<const char*> names = [] {
    std::vector<const char*> all(std::begin(kVerdictNames), std::end(kVerdictNames));
    all.push_back("foreign messages, accepted");
    return all;
  }();
  static Tally tally(names);
  tally.Count(static_cast<size_t>(expected.verdict));
  if (expected.foreign && expected.accepted()) tally.Count(kForeign);
}

void Run(const Input& input) {
  static Columns columns;
  const Parameters& parameters = input.parameters;
  uint32_t used = parameters.used % (kSlotCapacity + 1);
  std::vector<Source> sources = input.sources();
  // Exactly as large as it says, for the address sanitizer to guard its ends.
  auto control = std::make_unique<uint8_t[]>(input.control.size());
  std::copy(input.control.begin(), input.control.end(), control.get());

  columns.used = used;
  Charged() = {};
  BatchWriter out(columns, used);
  RecordTotals totals;
  int status = ParseRecords({control.get(), input.control.size()}, parameters.received,
                            parameters.linear_offset, sources, out, totals);

  Expectation expected = Judge(input.control, parameters.received, kSlotCapacity - used, sources);
  DEMAND(status == (expected.accepted() ? 0 : -EBADMSG));
  DEMAND(out.count() <= kSlotCapacity - used);
  DEMAND(TokensIn(out) == expected.tokens);
  if (status == 0) CheckAccepted(out, input, totals);
  columns.Restore(used, used + out.count());
  Count(expected);
}

// Mutations that know what a record is. Each leaves the rest as it was, so that
// nearly valid buffers, where the mistakes are, stay frequent.
class Mutator {
 public:
  Mutator(Input& input, unsigned seed) : input_(input), random_(seed) {}

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
    Expectation expected = Judge(input_.control, 0, kSlotCapacity, input_.sources());
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
    std::vector<Source> sources = input_.sources();
    if (type == uapi::kSoDevmemDmabuf && !sources.empty()) {
      const Source& source = sources[Below(sources.size())];
      record.dmabuf_id = source.id;
      if (source.size > 0) {
        record.frag_size = static_cast<uint32_t>(1 + Below(std::min<uint64_t>(source.size, 8192)));
        record.frag_offset = Below(source.size - record.frag_size + 1);
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
    std::vector<Source> sources = input_.sources();
    uint64_t edges[] = {0,
                        4096,
                        UINT32_MAX,
                        uint64_t{1} << 32,
                        UINT64_MAX,
                        uint64_t{1} << 63,
                        uint64_t{1} << 53,
                        sources.empty() ? 0 : sources[Below(sources.size())].size,
                        sources.empty() ? 0 : sources[Below(sources.size())].id};
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
    Parameters& parameters = input_.parameters;
    switch (Below(5)) {
      case 0:
        parameters.received = Below(2) == 0 ? Edge() : parameters.received + Below(3) - 1;
        return;
      case 1:
        parameters.source_size[Below(kMaxSources)] = Edge();
        return;
      case 2:
        parameters.source_id[Below(kMaxSources)] = static_cast<uint32_t>(Edge());
        return;
      case 3:
        parameters.used = static_cast<uint16_t>(kSlotCapacity - Below(4));
        return;
      default:
        parameters.sources = static_cast<uint16_t>(Below(kMaxSources + 1));
        return;
    }
  }

  Input& input_;
  std::minstd_rand random_;
};

}  // namespace

}  // namespace devmem::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto input = devmem::fuzz::Decode(data, size);
  if (!input) return -1;  // nothing to keep in the corpus
  devmem::fuzz::Run(*input);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  using namespace devmem::fuzz;
  auto input = Decode(data, size);
  if (!input || seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Mutator mutator(*input, seed);
  for (uint64_t steps = 1 + mutator.Below(3); steps > 0; steps--) mutator.Mutate();
  if (mutator.Below(2) == 0) mutator.Balance();
  input->control.resize(std::min(input->control.size(), max_size - sizeof(Parameters)));
  std::memcpy(data, &input->parameters, sizeof(Parameters));
  std::copy(input->control.begin(), input->control.end(), data + sizeof(Parameters));
  return sizeof(Parameters) + input->control.size();
}
