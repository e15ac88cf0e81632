#include "receive/landing.h"

#include <cmath>
#include <utility>

#include "memory/mapping.h"
#include "support/values.h"

namespace devmem {

namespace {

bool IsInside(double at, double length, size_t size) {
  return at >= 0 && length >= 1 && at == std::floor(at) && length == std::floor(length) &&
         at + length <= static_cast<double>(size);
}

}  // namespace

bool Landing::Begin(const Napi::Value& target, double at, double length) {
  if (active()) return false;
  size_t size = 0;
  Mapping* mapping = Mapping::From(target);
  if (mapping != nullptr) {
    size = mapping->region()->size();
  } else {
    size = Elements<uint8_t>(target, napi_uint8_array).size();
  }
  if (!IsInside(at, length, size)) return false;
  if (mapping != nullptr) {
    region_ = mapping->region();
  } else {
    array_ = Napi::Persistent(target.As<Napi::TypedArray>());
  }
  at_ = static_cast<uint64_t>(at);
  size_ = static_cast<uint64_t>(length);
  received_ = 0;
  return true;
}

// An array is looked at anew each time: its memory can be detached, or become shorter.
std::span<uint8_t> Landing::Space(Napi::Env env) const {
  Napi::HandleScope scope(env);
  std::span<uint8_t> bytes = region_ != nullptr
                                 ? std::span(region_->data(), region_->size())
                                 : Elements<uint8_t>(array_.Value(), napi_uint8_array);
  if (bytes.size() < at_ + size_) return {};
  return bytes.subspan(at_ + received_, size_ - received_);
}

uint64_t Landing::End() {
  region_.reset();
  array_.Reset();
  size_ = 0;
  return std::exchange(received_, 0);
}

}  // namespace devmem
