#include "support/turn.h"

#include <cerrno>

namespace devmem {

struct Turn::Handle {
  uv_idle_t idle;
  Turn* owner;
  Listener* listener;
  napi_async_cleanup_hook_handle hook;
};

int Turn::Open(Napi::Env env, Listener* listener) {
  if (handle_ != nullptr) return -EINVAL;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -EINVAL;
  auto* handle = new Handle{{}, this, listener, nullptr};
  int status = uv_idle_init(loop, &handle->idle);
  if (status != 0) {
    delete handle;
    return status;
  }
  handle->idle.data = handle;
  handle_ = handle;
  if (napi_add_async_cleanup_hook(env, OnTeardown, handle, &handle->hook) != napi_ok) {
    Close();
    return -ENOMEM;
  }
  return 0;
}

void Turn::Ask() {
  if (handle_ != nullptr) uv_idle_start(&handle_->idle, OnIdle);
}

void Turn::Close() {
  if (handle_ == nullptr) return;
  Handle* handle = handle_;
  handle_ = nullptr;
  handle->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->idle), OnClosed);
}

void Turn::OnIdle(uv_idle_t* idle) {
  uv_idle_stop(idle);
  auto* handle = static_cast<Handle*>(idle->data);
  if (handle->owner != nullptr) handle->listener->OnTurn();
}

void Turn::OnTeardown(napi_async_cleanup_hook_handle, void* data) {
  auto* handle = static_cast<Handle*>(data);
  // Without an owner the close is under way and its callback ends the hook.
  if (handle->owner != nullptr) handle->owner->Close();
}

void Turn::OnClosed(uv_handle_t* closed) {
  auto* handle = static_cast<Handle*>(closed->data);
  if (handle->hook != nullptr) napi_remove_async_cleanup_hook(handle->hook);
  delete handle;
}

}  // namespace devmem
