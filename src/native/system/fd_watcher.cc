#include "system/fd_watcher.h"

#include <fcntl.h>

#include <cerrno>

#include "support/callback.h"
#include "support/values.h"

namespace devmem {

Napi::Function FdWatcher::Define(Napi::Env env) {
  return DefineClass(
      env, "FdWatcher",
      {InstanceMethod<&FdWatcher::Open>("open"), InstanceMethod<&FdWatcher::Start>("start"),
       InstanceMethod<&FdWatcher::Stop>("stop"), InstanceMethod<&FdWatcher::RefPoll>("ref"),
       InstanceMethod<&FdWatcher::UnrefPoll>("unref"), InstanceMethod<&FdWatcher::Close>("close")});
}

FdWatcher::FdWatcher(const Napi::CallbackInfo& info) : Wrapped<FdWatcher>(info) {
  if (!info[0].IsFunction()) {
    ThrowMisuse(info.Env(), "FdWatcher(onReady)");
    return;
  }
  on_ready_ = Napi::Persistent(info[0].As<Napi::Function>());
  context_.emplace(info.Env(), "devmem-tcp:fd-watcher", info.This().As<Napi::Object>());
}

FdWatcher::~FdWatcher() = default;

// open(fd) -> 0 | -errno; duplicates the descriptor, does not start watching.
Napi::Value FdWatcher::Open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (on_ready_.IsEmpty() || poller_.open()) return Napi::Number::New(env, -EINVAL);
  fd_.Reset(fcntl(ToInt(info[0]), F_DUPFD_CLOEXEC, 3));
  if (!fd_.valid()) return Napi::Number::New(env, -errno);
  int status = poller_.Open(env, fd_.get(), this);
  if (status != 0) {
    fd_.Reset();
  } else {
    Ref();  // alive while the loop may call it
  }
  return Napi::Number::New(env, status);
}

// start(events) -> 0 | -errno
Napi::Value FdWatcher::Start(const Napi::CallbackInfo& info) {
  int events = ToInt(info[0]) & (UV_READABLE | UV_WRITABLE);
  return Napi::Number::New(info.Env(), events == 0 ? -EINVAL : poller_.Start(events));
}

void FdWatcher::Stop(const Napi::CallbackInfo&) {
  poller_.Stop();
}

void FdWatcher::RefPoll(const Napi::CallbackInfo&) {
  poller_.Ref();
}

void FdWatcher::UnrefPoll(const Napi::CallbackInfo&) {
  poller_.Unref();
}

void FdWatcher::Close(const Napi::CallbackInfo&) {
  if (!poller_.open()) return;
  poller_.Close();
  fd_.Reset();
  on_ready_.Reset();
  Unref();
}

void FdWatcher::OnReady(bool) {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  CallFromLoop(env, *context_, Value(), on_ready_.Value(), {});
}

}  // namespace devmem
