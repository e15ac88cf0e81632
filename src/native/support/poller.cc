#include "support/poller.h"

#include <cerrno>

namespace devmem {

struct Poller::Handle {
  uv_poll_t poll;
  Poller* owner;
  Listener* listener;
  int events;
  napi_async_cleanup_hook_handle hook;
};

int Poller::Open(Napi::Env env, int fd, Listener* listener) {
  if (handle_ != nullptr) return -EINVAL;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -EINVAL;
  auto* handle = new Handle{{}, this, listener, 0, nullptr};
  int status = uv_poll_init(loop, &handle->poll, fd);
  if (status != 0) {
    delete handle;
    return status;
  }
  handle->poll.data = handle;
  handle_ = handle;
  if (napi_add_async_cleanup_hook(env, OnTeardown, handle, &handle->hook) != napi_ok) {
    Close();
    return -ENOMEM;
  }
  return 0;
}

int Poller::Start(int events) {
  if (handle_ == nullptr) return -EBADF;
  handle_->events = events;
  return uv_poll_start(&handle_->poll, events, OnEvent);
}

void Poller::Stop() {
  if (handle_ != nullptr) uv_poll_stop(&handle_->poll);
}

bool Poller::active() const {
  return handle_ != nullptr && uv_is_active(reinterpret_cast<const uv_handle_t*>(&handle_->poll));
}

void Poller::Ref() {
  if (handle_ != nullptr) uv_ref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
}

void Poller::Unref() {
  if (handle_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
}

void Poller::Close() {
  if (handle_ == nullptr) return;
  Handle* handle = handle_;
  handle_ = nullptr;
  handle->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->poll), OnClosed);
}

// A negative `status` says that the socket is in error, for which libuv stops
// the poll. What the error is, and whether data lies before it, only recv can
// tell, so the poll goes on until the listener has found out.
void Poller::OnEvent(uv_poll_t* poll, int status, int) {
  auto* handle = static_cast<Handle*>(poll->data);
  if (handle->owner == nullptr) return;
  if (status < 0) handle->owner->Start(handle->events);
  handle->listener->OnReady(status < 0);
}

void Poller::OnTeardown(napi_async_cleanup_hook_handle, void* data) {
  auto* handle = static_cast<Handle*>(data);
  // Without an owner the close is under way and its callback ends the hook.
  if (handle->owner != nullptr) handle->owner->Close();
}

void Poller::OnClosed(uv_handle_t* closed) {
  auto* handle = static_cast<Handle*>(closed->data);
  if (handle->hook != nullptr) napi_remove_async_cleanup_hook(handle->hook);
  delete handle;
}

}  // namespace devmem
