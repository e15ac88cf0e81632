// Reading JavaScript values without trusting them. TypeScript has validated
// what users passed; these guards keep a mistake there from becoming a crash.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <span>

namespace devmem {

// The native object of class T behind `value`, or null if `value` is anything else.
template <typename T>
T* Unwrapped(const Napi::Value& value, const napi_type_tag& tag) {
  if (!value.IsObject()) return nullptr;
  Napi::Object object = value.As<Napi::Object>();
  if (!object.CheckTypeTag(&tag)) return nullptr;
  return Napi::ObjectWrap<T>::Unwrap(object);
}

// A number as double; NaN for anything else. (Here and below Node-API looks at the type
// itself; asking for it first would be another call.)
inline double ToDouble(const Napi::Value& value) {
  double number;
  return napi_get_value_double(value.Env(), value, &number) == napi_ok ? number : std::nan("");
}

inline int32_t ToInt(const Napi::Value& value) {
  int32_t number;
  return napi_get_value_int32(value.Env(), value, &number) == napi_ok ? number : -1;
}

inline uint32_t ToUint(const Napi::Value& value) {
  uint32_t number;
  return napi_get_value_uint32(value.Env(), value, &number) == napi_ok ? number : 0;
}

inline bool ToBool(const Napi::Value& value) {
  bool truth;
  return napi_get_value_bool(value.Env(), value, &truth) == napi_ok && truth;
}

// Whether it is a typed array of that type; then also, each unless null, its length and data.
inline bool IsTypedArray(const Napi::Value& value, napi_typedarray_type wanted,
                         size_t* length = nullptr, void** data = nullptr) {
  // Types that Node-API has no number for leave it as it is.
  auto type = static_cast<napi_typedarray_type>(-1);
  return napi_get_typedarray_info(value.Env(), value, &type, length, data, nullptr, nullptr) ==
             napi_ok &&
         type == wanted;
}

// The elements of a typed array of that type, whatever buffer it has; null data for
// anything else.
template <typename T>
std::span<T> Elements(const Napi::Value& value, napi_typedarray_type wanted) {
  size_t length = 0;
  void* data = nullptr;
  if (!IsTypedArray(value, wanted, &length, &data)) return {};
  return {static_cast<T*>(data), length};
}

// Throws a TypeError: the TypeScript layer called a native function wrongly.
inline void ThrowMisuse(Napi::Env env, const char* what) {
  Napi::TypeError::New(env, what).ThrowAsJavaScriptException();
}

// To be asked first by an accessor, of its own object's tag; where it is not so, throws. The
// engine lets methods be called on objects of their class alone, but accessors on any that
// Node-API has wrapped.
inline bool IsOwn(const Napi::CallbackInfo& info, const napi_type_tag& tag) {
  Napi::Value self = info.This();
  bool own = self.IsObject() && self.As<Napi::Object>().CheckTypeTag(&tag);
  if (!own) ThrowMisuse(info.Env(), "Illegal invocation: an accessor of another class");
  return own;
}

}  // namespace devmem
