// Calling JavaScript from the event loop.
#pragma once

#include <napi.h>

#include <span>

namespace devmem {

// One call with AsyncLocalStorage kept. Left alone, an exception would vanish:
// it becomes an uncaught one. (Any other failure means that the environment is
// being torn down.)
inline void CallFromLoop(Napi::Env env, const Napi::AsyncContext& context, napi_value receiver,
                         napi_value function, std::span<const napi_value> arguments) {
  napi_value ignored;
  napi_status status = napi_make_callback(env, context, receiver, function, arguments.size(),
                                          arguments.data(), &ignored);
  if (status != napi_pending_exception) return;
  napi_value exception;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
    napi_fatal_exception(env, exception);
  }
}

}  // namespace devmem
