// A call on the event loop's next turn, before it looks at its descriptors: for what must
// not be called from within a call of JavaScript's. Costs no system call. Its teardown is
// as that of a Poller (support/poller.h).
#pragma once

#include <napi.h>
#include <uv.h>

namespace devmem {

class Turn {
 public:
  class Listener {
   public:
    virtual void OnTurn() = 0;

   protected:
    ~Listener() = default;
  };

  Turn() = default;
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { Close(); }

  // 0 or -errno (EINVAL: it is open).
  int Open(Napi::Env env, Listener* listener);
  // Has it called once, however often this was called before. Keeps the loop alive until then.
  void Ask();
  void Close();

 private:
  struct Handle;

  static void OnIdle(uv_idle_t* idle);
  static void OnTeardown(napi_async_cleanup_hook_handle hook, void* data);
  static void OnClosed(uv_handle_t* handle);

  Handle* handle_ = nullptr;
};

}  // namespace devmem
