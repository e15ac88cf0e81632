// A raw netlink socket. Messages are made and read in TypeScript
// (src/ts/nic/netlink); this carries them.
#pragma once

#include <napi.h>

#include <memory>

#include "support/unique_fd.h"
#include "support/wrapped.h"

namespace devmem {

class NetlinkSocket : public Wrapped<NetlinkSocket> {
 public:
  static Napi::Function Define(Napi::Env env);

  // (protocol); open() does the work, so that errors come back as -errno.
  explicit NetlinkSocket(const Napi::CallbackInfo& info);

 private:
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Request(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  // Shared with requests under way, so that close() cannot pull the
  // descriptor's number away from under them.
  std::shared_ptr<UniqueFd> fd_;
};

}  // namespace devmem
