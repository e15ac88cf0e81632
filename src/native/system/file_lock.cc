#include "system/file_lock.h"

#include <sys/file.h>

#include <cerrno>

#include "support/values.h"

namespace devmem {

namespace {

// tryLock(fd) -> 0 | -errno: an exclusive flock(2) without waiting, EAGAIN where
// another descriptor has it. Ends with close(), and with the process in any case.
Napi::Value TryLock(const Napi::CallbackInfo& info) {
  int status;
  do {
    status = flock(ToInt(info[0]), LOCK_EX | LOCK_NB);
  } while (status < 0 && errno == EINTR);
  return Napi::Number::New(info.Env(), status < 0 ? -errno : 0);
}

}  // namespace

void DefineFileLock(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "tryLock", TryLock, napi_enumerable),
  });
}

}  // namespace devmem
