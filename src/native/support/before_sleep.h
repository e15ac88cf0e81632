// Calls before the event loop looks at its descriptors, and thus before it may sleep; and a
// limit to how long it sleeps. Costs no system call, and does not keep the loop alive. Its
// teardown is as that of a Poller (support/poller.h).
#pragma once

#include <napi.h>
#include <uv.h>

namespace devmem {

class BeforeSleep {
 public:
  class Listener {
   public:
    virtual void OnBeforeSleep() = 0;

   protected:
    ~Listener() = default;
  };

  BeforeSleep() = default;
  BeforeSleep(const BeforeSleep&) = delete;
  BeforeSleep& operator=(const BeforeSleep&) = delete;
  ~BeforeSleep() { Close(); }

  // 0 or -errno (EINVAL: it is open).
  int Open(Napi::Env env, Listener* listener);
  // Has it called in each turn of the loop until Stop(), which ends the limit, too.
  void Start();
  void Stop();

  // Has the loop turn again so many milliseconds from now, whatever the limit was.
  void Limit(uint64_t milliseconds);
  void Unlimit();
  enum class Limited {
    kNo,
    kYes,
    kPassed  // so long ago
  };
  Limited limited() const;

  void Close();

 private:
  struct Handle;

  static void OnPrepare(uv_prepare_t* prepare);
  static void OnTimer(uv_timer_t* timer);
  static void OnTeardown(napi_async_cleanup_hook_handle hook, void* data);
  static void OnClosed(uv_handle_t* handle);

  Handle* handle_ = nullptr;
};

}  // namespace devmem
