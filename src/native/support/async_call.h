// A system call that may take long (it allocates and clears gigabytes), made on
// a thread of libuv's pool.
#pragma once

#include <napi.h>

#include <optional>
#include <type_traits>
#include <utility>

#include "support/deferred.h"

namespace devmem {

template <typename Work, typename Finish>
class AsyncCall : public Napi::AsyncWorker {
 public:
  AsyncCall(Napi::Env env, const char* name, Deferred deferred, Work work, Finish finish)
      : Napi::AsyncWorker(env, name),
        deferred_(deferred),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

 protected:
  void Execute() override { result_.emplace(work_()); }
  void OnOK() override { deferred_.Resolve(finish_(Env(), std::move(*result_))); }

 private:
  Deferred deferred_;
  Work work_;
  Finish finish_;
  std::optional<std::invoke_result_t<Work&>> result_;
};

// Runs `work` on another thread and returns a promise of what `finish(env, result)`
// makes of its result. `work` must touch nothing of the environment's.
template <typename Work, typename Finish>
Napi::Value CallAsync(Napi::Env env, const char* name, Work work, Finish finish) {
  std::optional<Deferred> deferred = Deferred::New(env);
  if (!deferred) return {};
  auto* call =
      new AsyncCall<Work, Finish>(env, name, *deferred, std::move(work), std::move(finish));
  call->Queue();
  return deferred->promise();
}

}  // namespace devmem
