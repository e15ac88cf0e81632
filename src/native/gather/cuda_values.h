// What the CUDA engine is told by JavaScript, and tells it.
#pragma once

#include <napi.h>

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

}  // namespace devmem
