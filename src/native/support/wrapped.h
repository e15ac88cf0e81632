// A native object that belongs to a JavaScript one.
#pragma once

#include <napi.h>

namespace devmem {

// While a thread is being ended, Node-API takes none: the object is made nevertheless, and
// nobody told to delete it. Such a one goes with its thread.
template <typename T>
class Wrapped : public Napi::ObjectWrap<T> {
 public:
  explicit Wrapped(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    if (!this->IsEmpty()) return;
    orphan_of_ = info.Env();
    napi_add_env_cleanup_hook(orphan_of_, Delete, this);
  }

  ~Wrapped() override {
    if (orphan_of_ != nullptr) napi_remove_env_cleanup_hook(orphan_of_, Delete, this);
  }

 private:
  static void Delete(void* wrapped) { delete static_cast<Wrapped*>(wrapped); }

  napi_env orphan_of_ = nullptr;
};

}  // namespace devmem
