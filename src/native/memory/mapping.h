// A mapped file (memfd or dma-buf), shared by whoever still needs it: the
// JavaScript handle, ArrayBuffers over it, a copy arena.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "support/wrapped.h"

namespace devmem {

class MappedRegion {
 public:
  // Null with errno set where mmap fails.
  static std::shared_ptr<MappedRegion> Map(int fd, size_t size);
  MappedRegion(uint8_t* data, size_t size) : data_(data), size_(size) {}
  MappedRegion(const MappedRegion&) = delete;
  MappedRegion& operator=(const MappedRegion&) = delete;
  ~MappedRegion();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_;
  size_t size_;
};

class Mapping : public Wrapped<Mapping> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value New(Napi::Env env, std::shared_ptr<MappedRegion> region);
  static Mapping* From(const Napi::Value& value);

  explicit Mapping(const Napi::CallbackInfo& info);
  const std::shared_ptr<MappedRegion>& region() const { return region_; }

 private:
  Napi::Value Buffer(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Copy(const Napi::CallbackInfo& info,
                   void (*copy)(uint8_t* mapped, uint8_t* bytes, size_t length));
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<MappedRegion> region_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

}  // namespace devmem
