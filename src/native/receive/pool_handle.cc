#include "receive/pool_handle.h"

#include <bit>

#include "memory/mapping.h"
#include "queue/token_queue_handle.h"
#include "support/shared_memory.h"
#include "support/values.h"
#include "zcrx/queue_handle.h"

namespace devmem {

namespace {

constexpr napi_type_tag kTag = {0x6465766d656d706f, 0x6f6c21b93e4c5a17};
constexpr double kMostBytes = 9007199254740991.0;  // what JavaScript counts exactly
constexpr uint32_t kMostPageShift = 31;

bool IsBytes(double value) {
  return value >= 0 && value <= kMostBytes;
}

}  // namespace

Napi::Function PoolHandle::Define(Napi::Env env) {
  return DefineClass(env, "Pool", {});
}

PoolHandle* PoolHandle::From(const Napi::Value& value) {
  return Unwrapped<PoolHandle>(value, kTag);
}

PoolHandle::PoolHandle(const Napi::CallbackInfo& info) : Wrapped<PoolHandle>(info) {
  double size = ToDouble(info[1]);
  uint32_t page = ToUint(info[2]);
  double limit = ToDouble(info[3]);
  auto* readout = SharedMemory<Pool::Readout>(info[4]);
  Mapping* mapping = Mapping::From(info[5]);
  ZcrxQueueHandle* zcrx = ZcrxQueueHandle::From(info[5]);
  TokenQueueHandle* tokens = TokenQueueHandle::From(info[5]);
  uint32_t shift = page == 0 ? 0 : static_cast<uint32_t>(std::countr_zero(page));
  bool valid =
      IsBytes(size) && IsBytes(limit) && limit <= size && std::has_single_bit(page) &&
      shift >= kMinPageShift && shift <= kMostPageShift && readout != nullptr &&
      (info[5].IsUndefined() || mapping != nullptr || zcrx != nullptr || tokens != nullptr);
  if (!valid) {
    ThrowMisuse(info.Env(),
                "Pool(id, size, pageSize, limit, readout, mapping | zcrx queue | token queue | "
                "undefined)");
    return;
  }
  pool_ = std::make_shared<Pool>(Pool::Terms{ToUint(info[0]), static_cast<uint64_t>(size),
                                             static_cast<uint64_t>(limit), shift});
  pool_->Publish(readout);
  readout_ = Napi::Persistent(info[4].As<Napi::TypedArray>());
  if (mapping != nullptr) {
    const std::shared_ptr<MappedRegion>& region = mapping->region();
    pool_->SetArena(std::make_unique<CopyArena>(std::span(region->data(), region->size()), region));
  }
  if (zcrx != nullptr) pool_->SetChannels(zcrx->queue());
  if (tokens != nullptr) pool_->SetChannels(tokens->queue());
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

// Sockets may need the pool for longer than JavaScript does, or the end of the
// environment may take this first.
PoolHandle::~PoolHandle() {
  if (pool_ != nullptr) pool_->Publish(nullptr);
}

}  // namespace devmem
