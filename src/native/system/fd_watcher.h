// Tells JavaScript when a descriptor can be read or written. It polls a
// duplicate, because libuv allows one handle per descriptor and the original
// may have one (net.Socket's).
#pragma once

#include <napi.h>

#include <optional>

#include "support/poller.h"
#include "support/unique_fd.h"
#include "support/wrapped.h"

namespace devmem {

class FdWatcher : public Wrapped<FdWatcher>, private Poller::Listener {
 public:
  static Napi::Function Define(Napi::Env env);

  // (onReady); open() does the work, so that errors come back as -errno.
  explicit FdWatcher(const Napi::CallbackInfo& info);
  ~FdWatcher() override;

 private:
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Start(const Napi::CallbackInfo& info);
  void Stop(const Napi::CallbackInfo& info);
  void RefPoll(const Napi::CallbackInfo& info);
  void UnrefPoll(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  void OnReady(bool failed) override;

  UniqueFd fd_;
  Poller poller_;
  Napi::FunctionReference on_ready_;
  std::optional<Napi::AsyncContext> context_;
};

}  // namespace devmem
