// Host memory that the copy transport receives into, shared by all sockets of
// a binding.
//
// The memory is cut into chunks. Sockets fill the current chunk one after the
// other, without gaps, so that neighbouring fragments of a lone stream lie side
// by side; a chunk is free again once every fragment in it is released. Free
// chunks are used last in, first out: the one most likely still in the cache.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "memory/mapping.h"
#include "receive/transport.h"

namespace devmem {

class CopyArena {
 public:
  CopyArena(std::shared_ptr<MappedRegion> memory, uint32_t chunk_size, Credits& credits);

  // Free bytes in one piece at the current position; empty when no chunk is free, or the
  // credits are used up.
  std::span<uint8_t> Space();
  // The first `size` bytes of Space() now belong to a fragment.
  uint64_t Take(uint32_t size, uint32_t* token);
  void Release(std::span<const uint32_t> tokens);

 private:
  // Whether another chunk may be held.
  bool Affordable() const;
  bool NextChunk();

  static constexpr uint32_t kNoChunk = UINT32_MAX;
  static constexpr uint32_t kMinimumSpace = 16 << 10;

  std::shared_ptr<MappedRegion> memory_;
  uint32_t chunk_size_;
  Credits& credits_;
  std::vector<uint32_t> held_;  // per chunk: fragments in use
  std::vector<uint32_t> free_;
  uint32_t current_ = kNoChunk;
  uint32_t position_ = 0;  // in the current chunk
};

// The JavaScript handle: one per binding in copy mode.
class CopyArenaHandle : public Napi::ObjectWrap<CopyArenaHandle> {
 public:
  static Napi::Function Define(Napi::Env env);
  static CopyArenaHandle* From(const Napi::Value& value);

  // (mapping, chunkSize, credits)
  explicit CopyArenaHandle(const Napi::CallbackInfo& info);

  std::shared_ptr<CopyArena> arena() const { return arena_; }

 private:
  std::shared_ptr<CopyArena> arena_;
  Napi::Reference<Napi::TypedArray> credits_;
};

}  // namespace devmem
