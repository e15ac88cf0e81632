// What a system call that opens something gives: a descriptor or an error.
#pragma once

#include <napi.h>

#include <cerrno>
#include <utility>

#include "support/owned_fd.h"
#include "support/unique_fd.h"

namespace devmem {

struct FdResult {
  // Takes a descriptor as a system call returned it, with errno where it is negative.
  explicit FdResult(int returned) : fd(returned), error(returned < 0 ? errno : 0) {}

  // OwnedFd | -errno
  Napi::Value ToValue(Napi::Env env) {
    if (!fd.valid()) return Napi::Number::New(env, -error);
    return OwnedFd::New(env, std::move(fd));
  }

  UniqueFd fd;
  int error;
};

}  // namespace devmem
