#include "support/owned_fd.h"

#include <fcntl.h>

#include <vector>

#include "support/closing.h"
#include "support/env_data.h"
#include "support/values.h"

namespace devmem {

namespace {
constexpr napi_type_tag kTag = {0x6f776e6564666421, 0xd0a7c1be55f14b6a};
}

Napi::Function OwnedFd::Define(Napi::Env env) {
  return DefineClass(
      env, "OwnedFd",
      {InstanceAccessor<&OwnedFd::Number>("fd"), InstanceMethod<&OwnedFd::Close>("close")});
}

OwnedFd::OwnedFd(const Napi::CallbackInfo& info) : Wrapped<OwnedFd>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

OwnedFd::~OwnedFd() {
  Close();
}

Napi::Value OwnedFd::New(Napi::Env env, UniqueFd fd, ClosedWhere where) {
  Napi::Object object;
  if (!EnvData::Of(env)->owned_fd.New({}).UnwrapTo(&object)) return env.Undefined();
  OwnedFd* owned = Unwrap(object);
  owned->fd_ = std::move(fd);
  owned->where_ = where;
  return object;
}

OwnedFd* OwnedFd::From(const Napi::Value& value) {
  return Unwrapped<OwnedFd>(value, kTag);
}

UniqueFd OwnedFd::Duplicate() const {
  return UniqueFd(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3));
}

// -1 once closed.
Napi::Value OwnedFd::Number(const Napi::CallbackInfo& info) {
  if (!IsOwn(info, kTag)) return {};
  return Napi::Number::New(info.Env(), fd_.get());
}

void OwnedFd::Close(const Napi::CallbackInfo&) {
  Close();
}

void OwnedFd::Close() {
  if (!fd_.valid()) return;
  if (where_ == ClosedWhere::kHere) {
    fd_.Reset();
    return;
  }
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(fd_));
  CloseElsewhere(std::move(fds));
}

}  // namespace devmem
