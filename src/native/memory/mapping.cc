#include "memory/mapping.h"

#include <sys/mman.h>

#include <cstring>

#include "support/env_data.h"
#include "support/values.h"

namespace devmem {

namespace {

constexpr napi_type_tag kTag = {0x6d617070696e6721, 0x4f0c8ad2be913377};

// What keeps a region mapped for an ArrayBuffer. Where none can be made, Node may have
// called Drop by then (so for a length beyond the engine's), may do it later, or never.
class Keeper {
 public:
  explicit Keeper(std::shared_ptr<MappedRegion> region) : region_(std::move(region)) {}

  static void Drop(napi_env, void*, void* hint) {
    auto* keeper = static_cast<Keeper*>(hint);
    keeper->region_.reset();
    if (keeper->made_) {
      delete keeper;
    } else {
      keeper->dropped_ = true;
    }
  }

  void Made() { made_ = true; }

  // Leaves a few bytes behind where it was not dropped yet.
  void Failed() {
    region_.reset();
    if (dropped_) delete this;
  }

 private:
  std::shared_ptr<MappedRegion> region_;
  bool made_ = false;
  bool dropped_ = false;
};

}  // namespace

std::shared_ptr<MappedRegion> MappedRegion::Map(int fd, size_t size) {
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return nullptr;
  return std::make_shared<MappedRegion>(static_cast<uint8_t*>(data), size);
}

MappedRegion::~MappedRegion() {
  munmap(data_, size_);
}

Napi::Function Mapping::Define(Napi::Env env) {
  return DefineClass(
      env, "Mapping",
      {InstanceMethod<&Mapping::Buffer>("buffer"), InstanceMethod<&Mapping::Read>("read"),
       InstanceMethod<&Mapping::Write>("write"), InstanceMethod<&Mapping::Close>("close")});
}

Mapping::Mapping(const Napi::CallbackInfo& info) : Wrapped<Mapping>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

Napi::Value Mapping::New(Napi::Env env, std::shared_ptr<MappedRegion> region) {
  Napi::Object object;
  if (!EnvData::Of(env)->mapping.New({}).UnwrapTo(&object)) return env.Undefined();
  Unwrap(object)->region_ = std::move(region);
  return object;
}

Mapping* Mapping::From(const Napi::Value& value) {
  Mapping* mapping = Unwrapped<Mapping>(value, kTag);
  return mapping != nullptr && mapping->region_ != nullptr ? mapping : nullptr;
}

// The whole mapping as an ArrayBuffer, the same one at every call (the engine
// allows one external buffer per address). It keeps the memory mapped for as
// long as JavaScript can reach it, close() or not.
Napi::Value Mapping::Buffer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!buffer_.IsEmpty() && !buffer_.Value().IsEmpty()) return buffer_.Value();
  if (region_ == nullptr) return env.Undefined();
  auto* keeper = new Keeper(region_);
  // Not by Napi::ArrayBuffer::New, which frees what Drop has freed.
  napi_value buffer;
  napi_status status = napi_create_external_arraybuffer(env, region_->data(), region_->size(),
                                                        Keeper::Drop, keeper, &buffer);
  if (status != napi_ok) {
    keeper->Failed();
    return env.Undefined();
  }
  keeper->Made();
  buffer_ = Napi::Weak(Napi::ArrayBuffer(env, buffer));
  return buffer_.Value();
}

// read(offset, target): copies target.length bytes; false where they are not all inside.
Napi::Value Mapping::Read(const Napi::CallbackInfo& info) {
  return Copy(info, [](uint8_t* mapped, uint8_t* target, size_t length) {
    std::memcpy(target, mapped, length);
  });
}

// write(offset, source): the other way round.
Napi::Value Mapping::Write(const Napi::CallbackInfo& info) {
  return Copy(info, [](uint8_t* mapped, uint8_t* source, size_t length) {
    std::memcpy(mapped, source, length);
  });
}

Napi::Value Mapping::Copy(const Napi::CallbackInfo& info,
                          void (*copy)(uint8_t* mapped, uint8_t* bytes, size_t length)) {
  Napi::Env env = info.Env();
  double offset = ToDouble(info[0]);
  if (!IsTypedArray(info[1], napi_uint8_array)) {
    ThrowMisuse(env, "(offset, Uint8Array)");
    return env.Undefined();
  }
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  size_t length = bytes.ByteLength();
  bool inside = region_ != nullptr && offset >= 0 &&
                offset + static_cast<double>(length) <= static_cast<double>(region_->size());
  // An empty array may have no memory, which memcpy does not take even for no bytes.
  if (inside && length > 0) {
    copy(region_->data() + static_cast<size_t>(offset), bytes.Data(), length);
  }
  return Napi::Boolean::New(env, inside);
}

// Lets go of the memory; it is unmapped once no ArrayBuffer and no arena uses it.
void Mapping::Close(const Napi::CallbackInfo&) {
  region_.reset();
}

}  // namespace devmem
