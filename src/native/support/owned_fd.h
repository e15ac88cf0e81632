// A file descriptor owned by a JavaScript object: closed by close(), by the
// garbage collector, or when its environment (a worker, say) is torn down,
// whichever comes first.
#pragma once

#include <napi.h>

#include "support/unique_fd.h"

namespace devmem {

class OwnedFd : public Napi::ObjectWrap<OwnedFd> {
 public:
  static Napi::Function Define(Napi::Env env);
  // Wraps `fd`; a failure to make the object closes it.
  static Napi::Value New(Napi::Env env, UniqueFd fd);
  // The object behind `value`, or null where it is none of ours.
  static OwnedFd* From(const Napi::Value& value);

  explicit OwnedFd(const Napi::CallbackInfo& info);

  int get() const { return fd_.get(); }
  UniqueFd Duplicate() const;

 private:
  Napi::Value Number(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  UniqueFd fd_;
};

}  // namespace devmem
