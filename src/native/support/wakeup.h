// Waking the environment's event loop from another thread. Its teardown is as that of a
// Poller (support/poller.h), and tells the listener first, so that the other thread
// can be ended before the handle is.
#pragma once

#include <napi.h>
#include <uv.h>

namespace devmem {

class Wakeup {
 public:
  class Listener {
   public:
    // At least once after each Send().
    virtual void OnWake() = 0;
    // The environment is about to end: the last moment to have others cease to Send().
    virtual void OnTeardown() = 0;

   protected:
    ~Listener() = default;
  };

  Wakeup() = default;
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup() { Close(); }

  // 0 or -errno. Does not keep the loop alive before Ref().
  int Open(Napi::Env env, Listener* listener);
  bool open() const { return handle_ != nullptr; }

  // From any thread, while open.
  void Send();
  void Ref();
  void Unref();
  // Once nobody sends any more.
  void Close();

 private:
  struct Handle;

  static void OnSent(uv_async_t* async);
  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* data);
  static void OnClosed(uv_handle_t* handle);

  Handle* handle_ = nullptr;
};

}  // namespace devmem
