#include "support/before_sleep.h"

#include <cerrno>

namespace devmem {

struct BeforeSleep::Handle {
  uv_prepare_t prepare;
  uv_timer_t timer;
  BeforeSleep* owner;
  Listener* listener;
  napi_async_cleanup_hook_handle hook;
  Limited limited;
  int open;  // of the two
};

int BeforeSleep::Open(Napi::Env env, Listener* listener) {
  if (handle_ != nullptr) return -EINVAL;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -EINVAL;
  handle_ = new Handle{{}, {}, this, listener, nullptr, Limited::kNo, 2};
  // Neither of the two can fail.
  uv_prepare_init(loop, &handle_->prepare);
  uv_timer_init(loop, &handle_->timer);
  handle_->prepare.data = handle_->timer.data = handle_;
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->prepare));
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->timer));
  if (napi_add_async_cleanup_hook(env, OnTeardown, handle_, &handle_->hook) != napi_ok) {
    Close();
    return -ENOMEM;
  }
  return 0;
}

void BeforeSleep::Start() {
  if (handle_ != nullptr) uv_prepare_start(&handle_->prepare, OnPrepare);
}

void BeforeSleep::Stop() {
  if (handle_ == nullptr) return;
  uv_prepare_stop(&handle_->prepare);
  Unlimit();
}

void BeforeSleep::Limit(uint64_t milliseconds) {
  if (handle_ == nullptr) return;
  uv_timer_start(&handle_->timer, OnTimer, milliseconds, 0);
  handle_->limited = Limited::kYes;
}

void BeforeSleep::Unlimit() {
  if (handle_ == nullptr || handle_->limited == Limited::kNo) return;
  uv_timer_stop(&handle_->timer);
  handle_->limited = Limited::kNo;
}

BeforeSleep::Limited BeforeSleep::limited() const {
  return handle_ == nullptr ? Limited::kNo : handle_->limited;
}

void BeforeSleep::Close() {
  if (handle_ == nullptr) return;
  Handle* handle = handle_;
  handle_ = nullptr;
  handle->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->prepare), OnClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->timer), OnClosed);
}

void BeforeSleep::OnPrepare(uv_prepare_t* prepare) {
  auto* handle = static_cast<Handle*>(prepare->data);
  if (handle->owner != nullptr) handle->listener->OnBeforeSleep();
}

void BeforeSleep::OnTimer(uv_timer_t* timer) {
  static_cast<Handle*>(timer->data)->limited = Limited::kPassed;
}

void BeforeSleep::OnTeardown(napi_async_cleanup_hook_handle, void* data) {
  auto* handle = static_cast<Handle*>(data);
  // Without an owner the close is under way and its callback ends the hook.
  if (handle->owner != nullptr) handle->owner->Close();
}

void BeforeSleep::OnClosed(uv_handle_t* closed) {
  auto* handle = static_cast<Handle*>(closed->data);
  if (--handle->open > 0) return;
  if (handle->hook != nullptr) napi_remove_async_cleanup_hook(handle->hook);
  delete handle;
}

}  // namespace devmem
