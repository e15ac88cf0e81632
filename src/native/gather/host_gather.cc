#include "gather/host_gather.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "memory/mapping.h"
#include "support/async_call.h"
#include "support/values.h"

namespace devmem {

namespace {

// A stretch of the source.
struct Run {
  uint64_t offset;
  uint64_t size;
};

// Where to: a mapping, or an array. Another thread can write to what no script can take
// away meanwhile, which is a mapping alone.
struct Destination {
  std::span<uint8_t> bytes;
  std::shared_ptr<MappedRegion> region;  // null for a script's own memory
};

// What a call asks for.
struct Order {
  std::span<const double> offsets;
  std::span<const uint32_t> sizes;
  std::shared_ptr<MappedRegion> source;
  Destination target;  // from where it begins on
};

// Calls back with each run, neighbours merged, and where the next one begins, up to the first
// that is not inside source and target. Returns whether all were. Each number is read once:
// another thread may write to the columns.
template <typename Visit>
bool EachRun(const Order& order, Visit visit) {
  const uint64_t end = order.source->size();
  uint64_t room = order.target.bytes.size();
  Run run = {0, 0};
  for (size_t i = 0; i < order.offsets.size(); i++) {
    double offset = order.offsets[i];
    uint64_t size = order.sizes[i];
    if (!(offset >= 0 && offset <= static_cast<double>(end))) return false;
    // Signed, which is one instruction.
    uint64_t at = static_cast<uint64_t>(static_cast<int64_t>(offset));
    if (static_cast<double>(at) != offset || size > end - at || size > room) return false;
    room -= size;
    if (run.offset + run.size == at) {
      run.size += size;
      continue;
    }
    if (run.size > 0) visit(run, at);
    run = {at, size};
  }
  if (run.size > 0) visit(run, run.offset);
  return true;
}

// The CPU fetches ahead by itself where reading goes on, and not from one page to another.
inline constexpr size_t kCacheLine = 64;
inline constexpr size_t kLinesAhead = 4;

// Has what is copied next fetched meanwhile. Numbers, since some may be beyond the memory's
// end, where it does nothing.
void FetchAhead(const MappedRegion& source, uint64_t offset) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(source.data()) + offset;
  for (size_t line = 0; line < kLinesAhead; line++) {
    __builtin_prefetch(reinterpret_cast<const void*>(begin + line * kCacheLine));
  }
}

// Returns where it ends.
uint8_t* CopyRun(const Run& run, const MappedRegion& source, uint8_t* to) {
  // They may overlap where both are the same memory.
  std::memmove(to, source.data() + run.offset, run.size);
  return to + run.size;
}

Destination TakeTarget(const Napi::Value& value) {
  // Arrays first: to ask an object what it is costs as much as to copy a packet.
  std::span<uint8_t> array = Elements<uint8_t>(value, napi_uint8_array);
  if (!array.empty()) return {array, nullptr};
  if (Mapping* mapping = Mapping::From(value)) {
    const std::shared_ptr<MappedRegion>& region = mapping->region();
    return {{region->data(), region->size()}, region};
  }
  return {};
}

// (offsets, sizes, first, count, source mapping, target, at); nothing where one is not
// what it has to be.
std::optional<Order> TakeOrder(const Napi::CallbackInfo& info) {
  auto offsets = Elements<const double>(info[0], napi_float64_array);
  auto sizes = Elements<const uint32_t>(info[1], napi_uint32_array);
  uint64_t first = ToUint(info[2]);
  uint64_t count = ToUint(info[3]);
  Mapping* source = Mapping::From(info[4]);
  Destination target = TakeTarget(info[5]);
  double at = ToDouble(info[6]);
  bool inside = first + count <= offsets.size() && first + count <= sizes.size() &&
                source != nullptr && at >= 0 && at == std::floor(at) &&
                at <= static_cast<double>(target.bytes.size());
  if (!inside) return std::nullopt;
  target.bytes = target.bytes.subspan(static_cast<uint64_t>(at));
  return Order{offsets.subspan(first, count), sizes.subspan(first, count), source->region(),
               std::move(target)};
}

// gatherHost(offsets, sizes, first, count, source, target, at) -> whether all was inside,
// and copied: what comes before the first that was not, is
Napi::Value Gather(const Napi::CallbackInfo& info) {
  std::optional<Order> order = TakeOrder(info);
  if (!order) return Napi::Boolean::New(info.Env(), false);
  uint8_t* to = order->target.bytes.data();
  const MappedRegion& source = *order->source;
  bool inside = EachRun(*order, [&](const Run& run, uint64_t next) {
    FetchAhead(source, next);
    to = CopyRun(run, source, to);
  });
  return Napi::Boolean::New(info.Env(), inside);
}

// What another thread copies, which has nothing of JavaScript's.
struct Job {
  std::shared_ptr<MappedRegion> source;
  std::shared_ptr<MappedRegion> target;
  uint8_t* to;
  std::vector<Run> runs;
};

void Copy(const Job& job) {
  uint8_t* to = job.to;
  for (size_t i = 0; i < job.runs.size(); i++) {
    if (i + 1 < job.runs.size()) FetchAhead(*job.source, job.runs[i + 1].offset);
    to = CopyRun(job.runs[i], *job.source, to);
  }
}

// gatherHostAsync(…) -> Promise<true>, or false where not all was inside, and nothing is
// copied; into a mapping, on another thread
Napi::Value GatherAsync(const Napi::CallbackInfo& info) {
  std::optional<Order> order = TakeOrder(info);
  if (!order || order->target.region == nullptr) return Napi::Boolean::New(info.Env(), false);
  auto job = std::make_shared<Job>(
      Job{order->source, order->target.region, order->target.bytes.data(), {}});
  job->runs.reserve(order->offsets.size());
  bool inside = EachRun(*order, [&](const Run& run, uint64_t) { job->runs.push_back(run); });
  if (!inside) return Napi::Boolean::New(info.Env(), false);
  return CallAsync(
      info.Env(), "devmem-tcp:gather",
      [job]() {
        Copy(*job);
        return true;
      },
      [](Napi::Env env, bool done) { return Napi::Boolean::New(env, done); });
}

}  // namespace

void DefineHostGather(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "gatherHost", Gather, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "gatherHostAsync", GatherAsync,
                                         napi_enumerable),
  });
}

}  // namespace devmem
