#include "gather/host_gather.h"

#include <cmath>
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

struct Job {
  std::shared_ptr<MappedRegion> source;
  std::vector<Run> runs;
  uint8_t* target;
  std::shared_ptr<MappedRegion> target_region;  // null for a script's own memory
};

void Copy(const Job& job) {
  uint8_t* to = job.target;
  for (const Run& run : job.runs) {
    // They may overlap where both are the same memory.
    std::memmove(to, job.source->data() + run.offset, run.size);
    to += run.size;
  }
}

// The first of [offsets, sizes, first, count] with neighbours merged, each inside the
// source. Each number is read once: another thread may write to the columns.
bool TakeRuns(const Napi::CallbackInfo& info, Job& job, uint64_t* bytes) {
  auto offsets = Elements<const double>(info[0], napi_float64_array);
  auto sizes = Elements<const uint32_t>(info[1], napi_uint32_array);
  uint64_t first = ToUint(info[2]);
  uint64_t count = ToUint(info[3]);
  if (first + count > offsets.size() || first + count > sizes.size()) return false;
  const double end = static_cast<double>(job.source->size());
  for (uint64_t i = first; i < first + count; i++) {
    double offset = offsets[i];
    uint32_t size = sizes[i];
    if (!(offset >= 0 && offset + size <= end && offset == std::floor(offset))) return false;
    uint64_t at = static_cast<uint64_t>(offset);
    *bytes += size;
    if (!job.runs.empty() && job.runs.back().offset + job.runs.back().size == at) {
      job.runs.back().size += size;
    } else {
      job.runs.push_back({at, size});
    }
  }
  return true;
}

// Where to: a mapping, or an array. Another thread can write to what no script can take
// away meanwhile, which is a mapping alone.
std::span<uint8_t> TakeTarget(const Napi::Value& value, Job& job) {
  if (Mapping* mapping = Mapping::From(value)) {
    job.target_region = mapping->region();
    return {job.target_region->data(), job.target_region->size()};
  }
  return Elements<uint8_t>(value, napi_uint8_array);
}

// (offsets, sizes, first, count, source mapping, target, at); nothing where anything is
// not inside what it has to be.
std::optional<Job> TakeJob(const Napi::CallbackInfo& info) {
  Mapping* source = Mapping::From(info[4]);
  if (source == nullptr) return std::nullopt;
  Job job;
  job.source = source->region();
  uint64_t bytes = 0;
  std::span<uint8_t> target = TakeTarget(info[5], job);
  double at = ToDouble(info[6]);
  bool inside = TakeRuns(info, job, &bytes) && at >= 0 && at == std::floor(at) &&
                at + static_cast<double>(bytes) <= static_cast<double>(target.size());
  if (!inside) return std::nullopt;
  job.target = target.data() + static_cast<uint64_t>(at);
  return job;
}

// gatherHost(offsets, sizes, first, count, source, target, at) -> whether all was inside,
// and copied
Napi::Value Gather(const Napi::CallbackInfo& info) {
  std::optional<Job> job = TakeJob(info);
  if (job) Copy(*job);
  return Napi::Boolean::New(info.Env(), job.has_value());
}

// gatherHostAsync(…) -> Promise<whether it was>; into a mapping, on another thread
Napi::Value GatherAsync(const Napi::CallbackInfo& info) {
  std::optional<Job> job = TakeJob(info);
  if (!job || job->target_region == nullptr) return Napi::Boolean::New(info.Env(), false);
  auto shared = std::make_shared<Job>(std::move(*job));
  return CallAsync(
      info.Env(), "devmem-tcp:gather",
      [shared]() {
        Copy(*shared);
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
