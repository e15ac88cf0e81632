// What the addon exports. src/ts/native.ts declares the same with its meaning.
#include <napi.h>

#include "gather/cuda_gather.h"
#include "gather/host_gather.h"
#include "memory/mapping.h"
#include "memory/memory.h"
#include "queue/token_queue_handle.h"
#include "receive/frag_ring.h"
#include "receive/layout.h"
#include "receive/pool_handle.h"
#include "receive/receiver.h"
#include "support/env_data.h"
#include "support/owned_fd.h"
#include "support/values.h"
#include "system/ethtool.h"
#include "system/fd_passing.h"
#include "system/fd_watcher.h"
#include "system/file_lock.h"
#include "system/netlink_monitor.h"
#include "system/netlink_socket.h"
#include "system/sockets.h"
#include "system/unix_sockets.h"
#include "version.h"
#include "zcrx/queue_handle.h"

namespace devmem {

namespace {

// setSlotMaker(make): what gives the frag ring memory; see FragRing::SetMaker.
void SetSlotMaker(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) return ThrowMisuse(info.Env(), "setSlotMaker(function)");
  EnvData::Of(info.Env())->frag_ring->SetMaker(info[0].As<Napi::Function>());
}

// slotMemory(slot) -> what the maker gave for it
Napi::Value SlotMemory(const Napi::CallbackInfo& info) {
  return EnvData::Of(info.Env())->frag_ring->SlotMemory(info.Env(), ToUint(info[0]));
}

// ringUsage() -> [slots, descriptors not released]
Napi::Value RingUsage(const Napi::CallbackInfo& info) {
  FragRing& ring = *EnvData::Of(info.Env())->frag_ring;
  Napi::Float64Array usage = Napi::Float64Array::New(info.Env(), 2);
  usage[0] = ring.slots();
  usage[1] = static_cast<double>(ring.live());
  return usage;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* data = new EnvData(env);
  env.SetInstanceData(data);
  data->owned_fd = Napi::Persistent(OwnedFd::Define(env));
  data->mapping = Napi::Persistent(Mapping::Define(env));
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "setSlotMaker", SetSlotMaker,
                                         napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "slotMemory", SlotMemory, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, exports, "ringUsage", RingUsage, napi_enumerable),
      Napi::PropertyDescriptor::Value("FdWatcher", FdWatcher::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("NetlinkSocket", NetlinkSocket::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("Pool", PoolHandle::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("Receiver", Receiver::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("TokenQueue", TokenQueueHandle::Define(env), napi_enumerable),
      Napi::PropertyDescriptor::Value("version", Napi::String::New(env, kVersion), napi_enumerable),
  });
  DefineLayout(env, exports);
  DefineMemory(env, exports);
  DefineCudaGather(env, exports);
  DefineHostGather(env, exports);
  DefineSockets(env, exports);
  DefineEthtool(env, exports);
  DefineFileLock(env, exports);
  DefineFdPassing(env, exports);
  DefineNetlinkMonitor(env, exports);
  DefineUnixSockets(env, exports);
  DefineZcrx(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(devmem_tcp, Init)

}  // namespace devmem
