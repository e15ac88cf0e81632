// A file descriptor owned by a JavaScript object: closed by close(), by the
// garbage collector, or when its environment (a worker, say) is torn down,
// whichever comes first.
#pragma once

#include <napi.h>

#include "support/unique_fd.h"
#include "support/wrapped.h"

namespace devmem {

// Where a descriptor is closed: that of a stranger on another thread (support/closing.h).
enum class ClosedWhere { kHere, kElsewhere };

class OwnedFd : public Wrapped<OwnedFd> {
 public:
  static Napi::Function Define(Napi::Env env);
  // Wraps `fd`; a failure to make the object closes it.
  static Napi::Value New(Napi::Env env, UniqueFd fd, ClosedWhere where = ClosedWhere::kHere);
  // The object behind `value`, or null where it is none of ours.
  static OwnedFd* From(const Napi::Value& value);

  explicit OwnedFd(const Napi::CallbackInfo& info);
  ~OwnedFd() override;

  int get() const { return fd_.get(); }
  UniqueFd Duplicate() const;
  // The descriptor, no longer owned by this.
  UniqueFd Take() { return std::move(fd_); }

 private:
  Napi::Value Number(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void Close();

  UniqueFd fd_;
  ClosedWhere where_ = ClosedWhere::kHere;
};

}  // namespace devmem
