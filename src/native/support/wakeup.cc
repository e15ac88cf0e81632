#include "support/wakeup.h"

#include <cerrno>

namespace devmem {

struct Wakeup::Handle {
  uv_async_t async;
  Wakeup* owner;
  Listener* listener;
  napi_async_cleanup_hook_handle hook;
};

int Wakeup::Open(Napi::Env env, Listener* listener) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -EINVAL;
  auto* handle = new Handle{{}, this, listener, nullptr};
  int status = uv_async_init(loop, &handle->async, OnSent);
  if (status != 0) {
    delete handle;
    return status;
  }
  handle->async.data = handle;
  handle_ = handle;
  Unref();
  if (napi_add_async_cleanup_hook(env, OnEnvironmentEnd, handle, &handle->hook) != napi_ok) {
    Close();
    return -ENOMEM;
  }
  return 0;
}

void Wakeup::Send() {
  uv_async_send(&handle_->async);
}

void Wakeup::Ref() {
  if (handle_ != nullptr) uv_ref(reinterpret_cast<uv_handle_t*>(&handle_->async));
}

void Wakeup::Unref() {
  if (handle_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->async));
}

void Wakeup::Close() {
  if (handle_ == nullptr) return;
  Handle* handle = handle_;
  handle_ = nullptr;
  handle->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->async), OnClosed);
}

void Wakeup::OnSent(uv_async_t* async) {
  auto* handle = static_cast<Handle*>(async->data);
  if (handle->owner != nullptr) handle->listener->OnWake();
}

void Wakeup::OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
  auto* handle = static_cast<Handle*>(data);
  // Without an owner the close is under way and its callback ends the hook.
  if (handle->owner == nullptr) return;
  handle->listener->OnTeardown();
  if (handle->owner != nullptr) handle->owner->Close();
}

void Wakeup::OnClosed(uv_handle_t* closed) {
  auto* handle = static_cast<Handle*>(closed->data);
  if (handle->hook != nullptr) napi_remove_async_cleanup_hook(handle->hook);
  delete handle;
}

}  // namespace devmem
