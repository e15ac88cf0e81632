// Readiness of one file descriptor on the environment's event loop.
//
// Teardown is the hard part. A uv_poll_t may only be freed in its close
// callback, which runs after the environment has finalised every JavaScript
// object, and a worker that exits with a live handle aborts the process. So the
// handle lives on its own, an async cleanup hook closes it, and the hook is
// released in the close callback.
#pragma once

#include <napi.h>
#include <uv.h>

namespace devmem {

class Poller {
 public:
  class Listener {
   public:
    // `failed`: the descriptor is in error, or there is an entry in its error queue; data
    // may lie before it. Calls on the descriptor tell which.
    virtual void OnReady(bool failed) = 0;

   protected:
    ~Listener() = default;
  };

  Poller() = default;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller() { Close(); }

  // 0 or -errno (EINVAL: it is open; EEXIST: the loop already polls this descriptor).
  int Open(Napi::Env env, int fd, Listener* listener);
  bool open() const { return handle_ != nullptr; }

  // For UV_READABLE, UV_WRITABLE or both; again with others replaces them.
  int Start(int events = UV_READABLE);
  void Stop();
  // Whether it was started, and neither stopped nor closed since.
  bool active() const;
  void Ref();
  void Unref();
  // The descriptor may be closed as soon as this returns.
  void Close();

 private:
  struct Handle;

  static void OnEvent(uv_poll_t* poll, int status, int events);
  static void OnTeardown(napi_async_cleanup_hook_handle hook, void* data);
  static void OnClosed(uv_handle_t* handle);

  Handle* handle_ = nullptr;
};

}  // namespace devmem
