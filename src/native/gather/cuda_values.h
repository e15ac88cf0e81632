// What the CUDA engine is told by JavaScript, and tells it.
#pragma once

#include <napi.h>

#include <cstring>
#include <span>

#include "memory/cuda_context.h"
#include "support/values.h"

namespace devmem {

// Called before its time, or after close().
constexpr CudaFailure kCudaClosed = {"gather", CUDA_ERROR_NOT_INITIALIZED};

// undefined | { call, result }
inline Napi::Value ToValue(Napi::Env env, CudaFailure failure) {
  if (!failure) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  (void)object.Set("call", Napi::String::New(env, failure.call));
  (void)object.Set("result", Napi::Number::New(env, failure.result));
  return object;
}

// The elements of a typed array of that type, whatever buffer it has; null data for
// anything else.
template <typename T>
std::span<T> Elements(const Napi::Value& value, napi_typedarray_type wanted) {
  if (!IsTypedArray(value, wanted)) return {};
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) !=
      napi_ok) {
    return {};
  }
  return {static_cast<T*>(data), length};
}

}  // namespace devmem
