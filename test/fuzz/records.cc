// Fuzzes ParseRecords: any control buffer, any parameters.
#include "receive/records.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include "check.h"
#include "columns.h"
#include "control.h"
#include "record_input.h"
#include "record_mutator.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace devmem::fuzz {

namespace {

// A pool for each dma-buf, and a socket that receives into all of them.
class Sources {
 public:
  explicit Sources(std::span<const Dmabuf> table) {
    for (const Dmabuf& each : table) {
      pools_.emplace_back(Pool::Terms{each.id, each.size, each.size, each.page_shift});
      sources_.emplace_back(pools_.back(), accounts_.emplace_back());
    }
  }

  std::span<const Source> all() const { return sources_; }
  uint64_t pages(size_t index) const {
    DEMAND(pools_[index].held() == accounts_[index].held);
    return accounts_[index].held / pools_[index].page_size();
  }

 private:
  std::deque<Pool> pools_;
  std::deque<Account> accounts_;
  std::vector<Source> sources_;
};

// The descriptor of a device record: where it lies, and what will give it back.
void CheckDevice(const BatchWriter& out, uint32_t i, std::span<const Dmabuf> table) {
  size_t index = FindDmabuf(out.owner(i), table);
  DEMAND(index < table.size());
  DEMAND(out.slot().sources[out.begin() + i] == out.owner(i));
  DEMAND(out.size(i) > 0);
  DEMAND(out.offset(i) + out.size(i) <= table[index].size);
  DEMAND(out.pages(i) == table[index].PagesOf(out.offset(i), out.size(i)));
}

void CheckAccepted(const BatchWriter& out, const RecordInput& input, const RecordTotals& totals) {
  uint64_t linear_offset = input.parameters.linear_offset;
  uint64_t linear = 0;
  uint64_t device = 0;
  uint32_t frags = 0;
  std::vector<Dmabuf> table = input.table();
  for (uint32_t i = 0; i < out.count(); i++) {
    if (out.owner(i) == kLinearSource) {
      DEMAND(out.slot().sources[out.begin() + i] == kLinearSource);
      DEMAND(out.offset(i) == linear_offset + linear);
      DEMAND(out.token(i) == 0 && out.pages(i) == 0);
      linear += out.size(i);
    } else {
      CheckDevice(out, i, table);
      device += out.size(i);
      frags++;
    }
  }
  DEMAND(linear + device == input.parameters.received);
  DEMAND(totals.linear_bytes == linear);
  DEMAND(totals.device_bytes == device);
  DEMAND(totals.device_frags == frags);
}

// What giving back goes by, accepted or not: tokens, and the pages that were charged.
void CheckCharged(const BatchWriter& out, const Expectation& expected,
                  std::span<const Dmabuf> table, const Sources& sources) {
  std::vector<uint32_t> tokens;
  std::vector<uint64_t> pages(table.size());
  for (uint32_t i = 0; i < out.count(); i++) {
    if (out.owner(i) == kLinearSource) continue;
    tokens.push_back(out.token(i));
    if (out.owner(i) != kReleasedSource) pages[FindDmabuf(out.owner(i), table)] += out.pages(i);
  }
  DEMAND(tokens == expected.tokens);
  DEMAND(pages == expected.pages);
  for (size_t i = 0; i < table.size(); i++) DEMAND(sources.pages(i) == expected.pages[i]);
}

void Count(const Expectation& expected, std::span<const Dmabuf> table) {
  static constexpr size_t kForeign = std::size(kVerdictNames);
  static constexpr size_t kLargePages = kForeign + 1;
  static const std::vector<const char*> names = [] {
    std::vector<const char*> all(std::begin(kVerdictNames), std::end(kVerdictNames));
    all.push_back("foreign messages, accepted");
    all.push_back("fragments in pages of more than 4 KiB, accepted");
    return all;
  }();
  static Tally tally(names);
  tally.Count(static_cast<size_t>(expected.verdict));
  if (!expected.accepted()) return;
  if (expected.foreign) tally.Count(kForeign);
  for (size_t i = 0; i < table.size(); i++) {
    if (table[i].page_shift > kMinPageShift && expected.pages[i] > 0) tally.Count(kLargePages);
  }
}

void Run(const RecordInput& input) {
  static Columns columns;
  const RecordParameters& parameters = input.parameters;
  uint32_t used = parameters.used % (kSlotCapacity + 1);
  std::vector<Dmabuf> table = input.table();
  Sources sources(table);
  // Exactly as large as it says, for the address sanitizer to guard its ends.
  auto control = std::make_unique<uint8_t[]>(input.control.size());
  std::copy(input.control.begin(), input.control.end(), control.get());

  columns.used = used;
  BatchWriter out(columns, used);
  RecordTotals totals;
  int status = ParseRecords({control.get(), input.control.size()}, parameters.received,
                            parameters.linear_offset, sources.all(), out, totals);

  Expectation expected = Judge(input.control, parameters.received, kSlotCapacity - used, table);
  DEMAND(status == (expected.accepted() ? 0 : -EBADMSG));
  DEMAND(out.count() <= kSlotCapacity - used);
  CheckCharged(out, expected, table, sources);
  if (status == 0) CheckAccepted(out, input, totals);
  columns.Restore(used, used + out.count());
  Count(expected, table);
}

}  // namespace

}  // namespace devmem::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto input = devmem::fuzz::RecordInput::Decode(data, size);
  if (!input) return -1;  // nothing to keep in the corpus
  devmem::fuzz::Run(*input);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  using namespace devmem::fuzz;
  auto input = RecordInput::Decode(data, size);
  if (!input || seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  RecordMutator mutator(*input, seed);
  for (uint64_t steps = 1 + mutator.Below(3); steps > 0; steps--) mutator.Mutate();
  if (mutator.Below(2) == 0) mutator.Balance();
  return input->Encode(data, max_size);
}
