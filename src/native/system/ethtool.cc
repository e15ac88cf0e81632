#include "system/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "support/unique_fd.h"
#include "support/values.h"

namespace devmem {

namespace {

// What src/ts/nic/ioctl writes and reads by hand.
static_assert(sizeof(ethtool_drvinfo) == 196);
static_assert(offsetof(ethtool_drvinfo, driver) == 4);
static_assert(sizeof(ethtool_rxnfc) == 192);
static_assert(offsetof(ethtool_rxnfc, data) == 8);
static_assert(offsetof(ethtool_rxnfc, fs) == 16);
static_assert(offsetof(ethtool_rxnfc, rule_cnt) == 184);
static_assert(offsetof(ethtool_rxnfc, rule_locs) == 188);
static_assert(sizeof(ethtool_flow_union) == 52);
static_assert(sizeof(ethtool_flow_ext) == 20);
static_assert(sizeof(ethtool_rx_flow_spec) == 168);
static_assert(offsetof(ethtool_rx_flow_spec, h_u) == 4);
static_assert(offsetof(ethtool_rx_flow_spec, h_ext) == 56);
static_assert(offsetof(ethtool_rx_flow_spec, m_u) == 76);
static_assert(offsetof(ethtool_rx_flow_spec, m_ext) == 128);
static_assert(offsetof(ethtool_rx_flow_spec, ring_cookie) == 152);
static_assert(offsetof(ethtool_rx_flow_spec, location) == 160);
static_assert(offsetof(ethtool_tcpip4_spec, ip4dst) == 4);
static_assert(offsetof(ethtool_tcpip4_spec, psrc) == 8);
static_assert(offsetof(ethtool_tcpip4_spec, pdst) == 10);
static_assert(offsetof(ethtool_tcpip6_spec, ip6dst) == 16);
static_assert(offsetof(ethtool_tcpip6_spec, psrc) == 32);
static_assert(offsetof(ethtool_tcpip6_spec, pdst) == 34);
static_assert(sizeof(ethtool_rxfh) == 24);
static_assert(offsetof(ethtool_rxfh, rss_context) == 4);
static_assert(offsetof(ethtool_rxfh, indir_size) == 8);
static_assert(offsetof(ethtool_rxfh, key_size) == 12);
static_assert(offsetof(ethtool_rxfh, hfunc) == 16);
static_assert(TCP_V4_FLOW == 1 && TCP_V6_FLOW == 5);
static_assert(FLOW_RSS == 0x20000000);
static_assert(RX_CLS_LOC_SPECIAL == 0x80000000 && RX_CLS_LOC_ANY == 0xffffffff);

uint64_t Word(const uint8_t* command, size_t offset) {
  uint32_t value;
  std::memcpy(&value, command + offset, sizeof value);
  return value;
}

uint64_t RulesSize(const uint8_t* command) {
  return offsetof(ethtool_rxnfc, rule_locs) +
         sizeof(uint32_t) * Word(command, offsetof(ethtool_rxnfc, rule_cnt));
}

uint64_t TableSize(const uint8_t* command) {
  uint64_t entries = Word(command, offsetof(ethtool_rxfh, indir_size));
  if (entries == ETH_RXFH_INDIR_NO_CHANGE) entries = 0;
  return sizeof(ethtool_rxfh) + sizeof(uint32_t) * entries +
         Word(command, offsetof(ethtool_rxfh, key_size));
}

// Bytes that the kernel reads and writes for the command that `command` begins
// with, by the counts inside it; 0 for a command that is not used here, or a
// buffer too short for its counts. The kernel knows nothing of the buffer's end.
uint64_t Extent(const uint8_t* command, size_t size) {
  switch (size < sizeof(uint32_t) ? 0 : Word(command, 0)) {
    case ETHTOOL_GDRVINFO:
      return sizeof(ethtool_drvinfo);
    case ETHTOOL_GRXCLSRLCNT:
    case ETHTOOL_GRXCLSRULE:
    case ETHTOOL_SRXCLSRLDEL:
    case ETHTOOL_SRXCLSRLINS:
      return sizeof(ethtool_rxnfc);
    case ETHTOOL_GRXCLSRLALL:
      if (size < sizeof(ethtool_rxnfc)) return 0;
      return std::max<uint64_t>(sizeof(ethtool_rxnfc), RulesSize(command));
    case ETHTOOL_GRSSH:
    case ETHTOOL_SRSSH:
      return size < sizeof(ethtool_rxfh) ? 0 : TableSize(command);
    default:
      return 0;
  }
}

// ethtoolIoctl(interface, command) -> 0 | -errno; the answer is written into `command`.
Napi::Value EthtoolIoctl(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto result = [env](int error) { return Napi::Number::New(env, -error); };
  if (!info[0].IsString() || !IsTypedArray(info[1], napi_uint8_array)) return result(EINVAL);
  std::string name = info[0].As<Napi::String>().Utf8Value();
  Napi::Uint8Array command = info[1].As<Napi::Uint8Array>();
  uint64_t extent = Extent(command.Data(), command.ByteLength());
  if (extent == 0 || extent > command.ByteLength()) return result(EINVAL);

  ifreq request = {};
  if (name.empty() || name.size() >= sizeof request.ifr_name) return result(ENODEV);
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_data = reinterpret_cast<char*>(command.Data());
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return result(errno);
  return result(ioctl(fd.get(), SIOCETHTOOL, &request) < 0 ? errno : 0);
}

}  // namespace

void DefineEthtool(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "ethtoolIoctl", EthtoolIoctl,
                                         napi_enumerable),
  });
}

}  // namespace devmem
