#include "receive/copy_arena.h"

#include "support/values.h"

namespace devmem {

namespace {
constexpr napi_type_tag kTag = {0x636f7079206172e6, 0x9b1e0d75c3fa4a11};
}

CopyArena::CopyArena(std::shared_ptr<MappedRegion> memory, uint32_t chunk_size, Credits& credits)
    : memory_(std::move(memory)), chunk_size_(chunk_size), credits_(credits) {
  uint32_t chunks = static_cast<uint32_t>(memory_->size() / chunk_size_);
  held_.assign(chunks, 0);
  for (uint32_t chunk = chunks; chunk-- > 0;) free_.push_back(chunk);
}

bool CopyArena::Affordable() const {
  return credits_.held + chunk_size_ <= credits_.limit;
}

bool CopyArena::NextChunk() {
  if (free_.empty() || !Affordable()) return false;
  uint32_t previous = current_;
  current_ = free_.back();
  free_.pop_back();
  position_ = 0;
  if (previous != kNoChunk && held_[previous] == 0) free_.push_back(previous);
  return true;
}

std::span<uint8_t> CopyArena::Space() {
  bool used_up = current_ == kNoChunk || chunk_size_ - position_ < kMinimumSpace;
  // Short of chunks, the rest of the current one still serves.
  if (used_up && !NextChunk() && (current_ == kNoChunk || position_ == chunk_size_)) return {};
  if (held_[current_] == 0 && !Affordable()) return {};
  uint64_t offset = static_cast<uint64_t>(current_) * chunk_size_ + position_;
  return {memory_->data() + offset, chunk_size_ - position_};
}

uint64_t CopyArena::Take(uint32_t size, uint32_t* token) {
  uint64_t offset = static_cast<uint64_t>(current_) * chunk_size_ + position_;
  position_ += size;
  if (held_[current_]++ == 0) credits_.held += chunk_size_;
  *token = current_ + 1;
  return offset;
}

void CopyArena::Release(std::span<const uint32_t> tokens) {
  for (uint32_t token : tokens) {
    uint32_t chunk = token - 1;
    if (chunk >= held_.size() || held_[chunk] == 0) continue;
    if (--held_[chunk] > 0) continue;
    credits_.held -= chunk_size_;
    if (chunk == current_) {
      position_ = 0;
    } else {
      free_.push_back(chunk);
    }
  }
}

Napi::Function CopyArenaHandle::Define(Napi::Env env) {
  return DefineClass(env, "CopyArena", {});
}

CopyArenaHandle* CopyArenaHandle::From(const Napi::Value& value) {
  return Unwrapped<CopyArenaHandle>(value, kTag);
}

CopyArenaHandle::CopyArenaHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<CopyArenaHandle>(info) {
  Mapping* mapping = Mapping::From(info[0]);
  uint32_t chunk_size = ToUint(info[1]);
  if (mapping == nullptr || chunk_size == 0 || chunk_size > mapping->region()->size() ||
      !IsTypedArray(info[2], napi_float64_array) ||
      info[2].As<Napi::TypedArray>().ElementLength() < kCreditCount) {
    ThrowMisuse(info.Env(), "CopyArena(mapping, chunkSize, credits)");
    return;
  }
  credits_ = Napi::Persistent(info[2].As<Napi::TypedArray>());
  double* values = info[2].As<Napi::Float64Array>().Data();
  arena_ = std::make_shared<CopyArena>(mapping->region(), chunk_size,
                                       *reinterpret_cast<Credits*>(values));
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

}  // namespace devmem
