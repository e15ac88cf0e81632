// What a fragment costs in the addon's own code, without Node.js and without the kernel:
// recvmsg and setsockopt are stood in for below. Prints samples of ns per fragment, and
// how often memory was allocated, as JSON.
//
//   native ROUNDS
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "receive/batch_writer.h"
#include "receive/cmsg_transport.h"
#include "receive/records.h"
#include "receive/token_ranges.h"
#include "uapi/devmem.h"

extern "C" void* __libc_malloc(size_t size);

namespace {

using namespace devmem;

constexpr uint32_t kBatch = 64;
constexpr uint32_t kPageShift = 12;
constexpr uint32_t kPage = 1 << kPageShift;
constexpr uint32_t kId = 1;
constexpr int kSocket = 7;
constexpr int kRepeats = 20000;
constexpr int kWarmUps = 3;

uint64_t allocations = 0;
// Keeps results from being optimised away.
volatile uint64_t sink = 0;

// A control buffer of kBatch records, as the kernel writes them.
struct Control {
  alignas(16) uint8_t bytes[kBatch * uapi::kRecordSpace];

  Control() {
    std::memset(bytes, 0, sizeof bytes);
    for (uint32_t i = 0; i < kBatch; i++) {
      uint8_t* at = bytes + i * uapi::kRecordSpace;
      cmsghdr header = {CMSG_LEN(sizeof(uapi::DmabufCmsg)), SOL_SOCKET, uapi::kSoDevmemDmabuf};
      uapi::DmabufCmsg record = {uint64_t{i} * kPage, kPage, i + 1, kId, 0};
      std::memcpy(at, &header, sizeof header);
      std::memcpy(at + CMSG_LEN(0), &record, sizeof record);
    }
  }
};

const Control& Records() {
  static const Control control;
  return control;
}

struct Slot : SlotColumns {
  std::vector<double> offset_column = std::vector<double>(kSlotCapacity);
  std::vector<uint32_t> size_column = std::vector<uint32_t>(kSlotCapacity);
  std::vector<uint32_t> token_column = std::vector<uint32_t>(kSlotCapacity);
  std::vector<uint32_t> source_column = std::vector<uint32_t>(kSlotCapacity);
  std::vector<uint32_t> page_column = std::vector<uint32_t>(kSlotCapacity);
  std::vector<uint32_t> owner_column = std::vector<uint32_t>(kSlotCapacity);

  Slot() {
    offsets = offset_column.data();
    sizes = size_column.data();
    tokens = token_column.data();
    sources = source_column.data();
    pages = page_column.data();
    owners = owner_column.data();
  }
};

struct Bench {
  Slot slot;
  Pool pool{{kId, 1 << 30, 1 << 30, kPageShift}};
  Account account;
  Scratch scratch;
  Counters counters;
  CmsgTransport transport{scratch, counters};
  std::vector<uint32_t> in_order;
  std::vector<uint32_t> shuffled;
  std::vector<uint32_t> tokens;

  Bench() {
    tokens.reserve(kSlotCapacity);
    transport.Join(pool);
    pool.Join(account);
    for (uint32_t i = 0; i < kSlotCapacity; i++) {
      in_order.push_back(i + 1);
      shuffled.push_back(i * 389 % kSlotCapacity + 1);
    }
  }

  void EmptyLoop() {
    for (uint32_t i = 0; i < kBatch; i++) sink = sink + i;
  }

  void Parse() {
    slot.used = 0;
    BatchWriter out(slot, 0);
    RecordTotals totals;
    Source sources[] = {Source(pool, account)};
    int status = ParseRecords(Records().bytes, kBatch * kPage, 0, sources, out, totals);
    if (status != 0) std::abort();
    pool.Discharge(account, kBatch * kPage);
    sink = sink + totals.device_bytes;
  }

  // One wake: a recvmsg with room to spare, and the fragments back.
  void FillAndRelease() {
    slot.used = 0;
    BatchWriter out(slot, 0);
    FillResult result = transport.Fill(kSocket, out, {});
    if (result.error != 0 || out.count() != kBatch) std::abort();
    if (transport.Unpin(slot, 0, kBatch) != kBatch) std::abort();
    if (transport.Return(kSocket) != 0) std::abort();
  }

  void Return(const std::vector<uint32_t>& order) {
    tokens = order;
    sink = sink + ReturnTokens(kSocket, tokens).freed;
  }
};

double Seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

struct Case {
  const char* name;
  std::function<void()> run;
  int repeats;
  uint32_t fragments;  // a run
  std::vector<double> samples;
};

void Sample(Case& each) {
  auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < each.repeats; i++) each.run();
  double seconds = Seconds(std::chrono::steady_clock::now() - before);
  each.samples.push_back(seconds * 1e9 / each.repeats / each.fragments);
}

void Print(const Case& each) {
  std::printf("\"%s\":[", each.name);
  const char* comma = "";
  for (double sample : each.samples) {
    std::printf("%s%.4f", comma, sample);
    comma = ",";
  }
  std::printf("],");
}

}  // namespace

extern "C" {

void* malloc(size_t size) {
  allocations++;
  return __libc_malloc(size);
}

ssize_t recvmsg(int, msghdr* message, int) {
  std::memcpy(message->msg_control, Records().bytes, sizeof Records().bytes);
  message->msg_controllen = sizeof Records().bytes;
  return kBatch * kPage;
}

int setsockopt(int, int, int, const void* value, socklen_t length) {
  const auto* ranges = static_cast<const uapi::DmabufToken*>(value);
  uint32_t freed = 0;
  for (size_t i = 0; i < length / sizeof *ranges; i++) freed += ranges[i].token_count;
  return static_cast<int>(freed);
}
}

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 0;
  Bench bench;
  constexpr int kFewer = kRepeats / 16;
  Case cases[] = {
      {"emptyLoop", [&] { bench.EmptyLoop(); }, kRepeats, kBatch, {}},
      {"parse", [&] { bench.Parse(); }, kRepeats, kBatch, {}},
      {"fillAndRelease", [&] { bench.FillAndRelease(); }, kRepeats, kBatch, {}},
      {"returnInOrder", [&] { bench.Return(bench.in_order); }, kFewer, kSlotCapacity, {}},
      {"returnShuffled", [&] { bench.Return(bench.shuffled); }, kFewer, kSlotCapacity, {}},
  };
  for (int round = 0; round < kWarmUps; round++) {
    for (Case& each : cases) Sample(each);
  }
  for (Case& each : cases) each.samples.clear();
  for (int round = 0; round < rounds; round++) {
    for (Case& each : cases) Sample(each);
  }

  uint64_t before = allocations;
  for (int i = 0; i < kRepeats; i++) bench.FillAndRelease();
  uint64_t during = allocations - before;

  std::printf("{");
  for (const Case& each : cases) Print(each);
  std::printf("\"allocations\":%llu,\"allocationFragments\":%llu}\n",
              static_cast<unsigned long long>(during),
              static_cast<unsigned long long>(kRepeats) * kBatch);
  return 0;
}
