// Memory that C++ and JavaScript both look at.
#pragma once

#include <napi.h>

#include <cstddef>

namespace devmem {

// The T at the start of a typed array over a SharedArrayBuffer, or null for anything else.
// Nothing a script does takes such memory away while the array is referred to; an
// ArrayBuffer it could transfer, also one that a patched SharedArrayBuffer handed out.
template <typename T>
T* SharedMemory(const Napi::Value& value, size_t count = 1) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  napi_value buffer;
  size_t offset;
  bool array = false;
  if (napi_is_typedarray(value.Env(), value, &array) != napi_ok || !array) return nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, &buffer, &offset) !=
      napi_ok) {
    return nullptr;
  }
  // Node-API's word for the buffers that can be transferred.
  bool transferable = true;
  if (napi_is_arraybuffer(value.Env(), buffer, &transferable) != napi_ok || transferable) {
    return nullptr;
  }
  bool fits = type == napi_float64_array && length * sizeof(double) >= count * sizeof(T);
  return fits ? static_cast<T*>(data) : nullptr;
}

}  // namespace devmem
