#include "system/sockets.h"

#include <sys/socket.h>

#include <cerrno>

#include "support/unique_fd.h"
#include "support/values.h"
#include "uapi/devmem.h"

namespace devmem {

namespace {

// dontneedError() -> the errno with which this kernel refuses a malformed
// SO_DEVMEM_DONTNEED: ENOPROTOOPT where it does not know the option at all.
Napi::Value DontneedError(const Napi::CallbackInfo& info) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  uint32_t malformed = 0;
  int status = fd.valid() ? setsockopt(fd.get(), SOL_SOCKET, uapi::kSoDevmemDontneed, &malformed,
                                       sizeof malformed)
                          : -1;
  return Napi::Number::New(info.Env(), status < 0 ? -errno : 0);
}

}  // namespace

void DefineSockets(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "dontneedError", DontneedError,
                                         napi_enumerable),
  });
}

}  // namespace devmem
