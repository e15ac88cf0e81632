#include "receive/channel.h"

#include "receive/cmsg_transport.h"
#include "receive/copy_transport.h"
#include "receive/polled_channel.h"
#include "support/env_data.h"

namespace devmem {

std::unique_ptr<Channel> MakeChannel(Napi::Env env, const Pool& pool, Counters& counters) {
  if (pool.channels() != nullptr) return pool.channels()->MakeChannel(env, counters);
  EnvData& data = *EnvData::Of(env);
  std::unique_ptr<Transport> transport;
  if (pool.arena() != nullptr) {
    transport = std::make_unique<CopyTransport>(counters);
  } else {
    transport = std::make_unique<CmsgTransport>(*data.scratch, counters);
  }
  return std::make_unique<PolledChannel>(std::move(transport), *data.frag_ring, counters);
}

}  // namespace devmem
