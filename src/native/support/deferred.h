// A promise of JavaScript's, and what resolves it.
#pragma once

#include <napi.h>

#include <optional>

namespace devmem {

// As Napi::Promise::Deferred, which does not tell when no promise could be made and
// then hands out uninitialised memory for one.
class Deferred {
 public:
  // Nothing while the environment's worker is being terminated; there is no one left to
  // tell then, and an empty value is all that the caller need return.
  static std::optional<Deferred> New(Napi::Env env) {
    Deferred made(env);
    napi_status status = napi_create_promise(env, &made.deferred_, &made.promise_);
    return status == napi_ok ? std::optional(made) : std::nullopt;
  }

  // Valid as long as the handle scope that it was made in.
  Napi::Value promise() const { return {env_, promise_}; }

  // Once. Fails only where the promise has nobody to wait for it any more.
  void Resolve(napi_value value) const { (void)napi_resolve_deferred(env_, deferred_, value); }

 private:
  explicit Deferred(Napi::Env env) : env_(env) {}

  napi_env env_;
  napi_deferred deferred_ = nullptr;
  napi_value promise_ = nullptr;
};

}  // namespace devmem
