// A channel that waits for its own socket, in the event loop's poll, and has a transport
// read it.
//
// It polls a duplicate of the socket's descriptor, because libuv allows one handle per
// descriptor and net.Socket has one for writing.
#pragma once

#include <memory>

#include "receive/channel.h"
#include "receive/landing.h"
#include "receive/low_water_mark.h"
#include "support/poller.h"
#include "support/unique_fd.h"

namespace devmem {

class FragRing;

class PolledChannel : public Channel, private Poller::Listener {
 public:
  PolledChannel(std::unique_ptr<Transport> transport, FragRing& ring, Counters& counters)
      : transport_(std::move(transport)), ring_(ring), counters_(counters) {}

  int Join(Pool& pool) override { return transport_->Join(pool); }
  int Open(Napi::Env env, int fd, Channel::Listener* listener) override;
  int Resume(Demand demand) override;
  void Pause() override { poller_.Stop(); }
  bool Replenished() const override { return transport_->Replenished(); }
  bool HasRoom() const override { return transport_->HasRoom(); }
  bool HoldsAll() const override { return transport_->HoldsAll(); }
  int Discard() override;
  int Land(const Napi::Value& target, double at, double length) override;
  uint64_t EndLanding() override { return landing_.End(); }
  void Ref() override { poller_.Ref(); }
  void Unref() override { poller_.Unref(); }
  void Close(bool held) override;
  void CloseSocket() override;
  uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count) override {
    return transport_->Unpin(slot, index, count);
  }
  bool UnpinPart(SlotColumns& slot, uint32_t index, uint32_t at, uint32_t size) override {
    return transport_->UnpinPart(slot, index, at, size);
  }
  int Return() override { return transport_->Return(socket_.get()); }
  bool Queued() const override { return transport_->Queued(); }
  int SetReceiveBuffer(int bytes) override;
  int SetLowWaterMark(uint32_t bytes, uint64_t ahead) override {
    return low_water_mark_.Set(socket_.get(), bytes, ahead);
  }

 private:
  // How often a socket is read in one wake while each read takes all that it may. What
  // waits for longest is the coldest: better one socket's queue to its end than a part of
  // each.
  static constexpr int kMostReads = 8;

  void OnReady(bool failed) override;
  // Whether it pays to read once more.
  bool ReadAndDeliver();
  FillResult Read(Arrival& arrival);
  FillResult ReadInto(Arrival& arrival);
  void Deliver(const FillResult& result, Arrival& arrival);

  std::unique_ptr<Transport> transport_;
  FragRing& ring_;
  Counters& counters_;
  UniqueFd socket_;
  Poller poller_;
  LowWaterMark low_water_mark_;
  Landing landing_;
  Channel::Listener* listener_ = nullptr;
  napi_env env_ = nullptr;
  Demand demand_ = Demand::kAhead;
  bool discarding_ = false;
  bool failed_ = false;  // as the poll said, and nobody has looked yet
};

}  // namespace devmem
