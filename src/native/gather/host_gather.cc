#include "gather/host_gather.h"

#include <array>
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

// No memory is as large, and every integer below it is a double.
inline constexpr double kNoOffset = 0x1p53;

// Finds the runs of an order, neighbours merged, up to the first descriptor that is not inside
// source and target. What it finds is what it checked: another thread may write to the columns.
class RunFinder {
 public:
  explicit RunFinder(const Order& order)
      : order_(&order), end_(order.source->size()), room_(order.target.bytes.size()) {}

  // Puts the next ones there. Returns how many: as many as there is room for, but at the end.
  size_t Next(std::span<Run> runs) {
    const std::span<const double> offsets = order_->offsets;
    const std::span<const uint32_t> sizes = order_->sizes;
    size_t found = 0;
    for (; next_ < offsets.size(); next_++) {
      double offset = offsets[next_];
      uint64_t size = sizes[next_];
      if (!(offset >= 0 && offset < kNoOffset)) return End(found);
      // Signed, which is one instruction.
      int64_t whole = static_cast<int64_t>(offset);
      uint64_t at = static_cast<uint64_t>(whole);
      bool lies = static_cast<double>(whole) == offset && at <= end_ && size <= end_ - at;
      if (!lies || size > room_) return End(found);
      // There may be no target to copy nothing to.
      if (size == 0) continue;
      if (found > 0 && runs[found - 1].offset + runs[found - 1].size == at) {
        runs[found - 1].size += size;
      } else if (found < runs.size()) {
        runs[found++] = {at, size};
      } else {
        break;
      }
      room_ -= size;
    }
    return found;
  }

  // Whether all that it came to was.
  bool inside() const { return inside_; }

 private:
  size_t End(size_t found) {
    inside_ = false;
    next_ = order_->offsets.size();
    return found;
  }

  const Order* order_;
  uint64_t end_;
  uint64_t room_;
  size_t next_ = 0;
  bool inside_ = true;
};

// The CPU fetches ahead by itself where reading goes on, and not from one page to another.
inline constexpr size_t kCacheLine = 64;
inline constexpr size_t kLinesAhead = 4;
// Found before they are copied, on the stack.
inline constexpr size_t kRunsAtOnce = 64;

// Has what is copied next fetched meanwhile. Numbers, since some may be beyond the memory's
// end, where it does nothing.
void FetchAhead(const MappedRegion& source, uint64_t offset) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(source.data()) + offset;
  for (size_t line = 0; line < kLinesAhead; line++) {
    __builtin_prefetch(reinterpret_cast<const void*>(begin + line * kCacheLine));
  }
}

// Returns where it ends.
uint8_t* CopyRuns(std::span<const Run> runs, const MappedRegion& source, uint8_t* to) {
  for (size_t i = 0; i < runs.size(); i++) {
    if (i + 1 < runs.size()) FetchAhead(source, runs[i + 1].offset);
    // They may overlap where both are the same memory.
    std::memmove(to, source.data() + runs[i].offset, runs[i].size);
    to += runs[i].size;
  }
  return to;
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
  RunFinder finder(*order);
  uint8_t* to = order->target.bytes.data();
  std::array<Run, kRunsAtOnce> runs;
  while (size_t found = finder.Next(runs)) {
    to = CopyRuns(std::span(runs).first(found), *order->source, to);
  }
  return Napi::Boolean::New(info.Env(), finder.inside());
}

// What another thread copies, which has nothing of JavaScript's.
struct Job {
  std::shared_ptr<MappedRegion> source;
  std::shared_ptr<MappedRegion> target;
  uint8_t* to;
  std::vector<Run> runs;
};

// gatherHostAsync(…) -> Promise<true>, or false where not all was inside, and nothing is
// copied; into a mapping, on another thread
Napi::Value GatherAsync(const Napi::CallbackInfo& info) {
  std::optional<Order> order = TakeOrder(info);
  if (!order || order->target.region == nullptr) return Napi::Boolean::New(info.Env(), false);
  auto job = std::make_shared<Job>(
      Job{order->source, order->target.region, order->target.bytes.data(), {}});
  job->runs.resize(order->offsets.size());
  RunFinder finder(*order);
  job->runs.resize(finder.Next(job->runs));
  if (!finder.inside()) return Napi::Boolean::New(info.Env(), false);
  return CallAsync(
      info.Env(), "devmem-tcp:gather",
      [job]() {
        CopyRuns(job->runs, *job->source, job->to);
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
