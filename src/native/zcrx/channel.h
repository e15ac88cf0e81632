// One socket's way in where a ring of completions serves many: what came for it, asking for
// more as far as the pool lets it, and delivering while somebody wants it.
//
// A request (multishot RECV_ZC) is for so many bytes, so that the kernel stops by itself
// where the memory that this socket may hold ends. Where that is nothing at all, the socket
// is polled: only with data there is it a stall.
#pragma once

#include <memory>
#include <vector>

#include "receive/channel.h"
#include "receive/low_water_mark.h"
#include "support/unique_fd.h"
#include "zcrx/queue.h"

namespace devmem {

class FragRing;
class Scratch;

class ZcrxChannel : public Channel {
 public:
  ZcrxChannel(std::shared_ptr<ZcrxQueue> queue, FragRing& ring, Scratch& scratch,
              Counters& counters)
      : queue_(std::move(queue)), ring_(ring), scratch_(scratch), counters_(counters) {}
  ~ZcrxChannel() override { Close(false); }

  int Join(Pool& pool) override;
  int Open(Napi::Env env, int fd, Channel::Listener* listener) override;
  int Resume(Demand demand) override;
  void Pause() override { Want(false); }
  bool Replenished() const override { return pool_->Replenished(account_); }
  bool HasRoom() const override { return pool_->Available(account_, Demand::kWaiting) > 0; }
  bool HoldsAll() const override { return pool_->held() == account_.held; }
  int Discard() override;
  int Land(const Napi::Value&, double, double) override { return -EOPNOTSUPP; }
  uint64_t EndLanding() override { return 0; }
  void Ref() override { SetReferenced(true); }
  void Unref() override { SetReferenced(false); }
  void Close(bool held) override;
  void CloseSocket() override {}  // closed with the channel: fragments do not need it
  uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count) override;
  int Return() override;
  int SetReceiveBuffer(int bytes) override;
  int SetLowWaterMark(uint32_t bytes, uint64_t ahead) override {
    return low_water_mark_.Set(socket_.get(), bytes, ahead);
  }

  // For the queue: what completions say; and its turn to deliver, and to ask for more.
  void OnData(uint64_t offset, uint32_t size);
  void OnReceiveEnded(int result);
  void OnPolled(int result);
  void OnLost(int error);
  void Advance();
  bool touched = false;  // the queue's own: its turn comes

 private:
  struct Piece {
    uint64_t offset;  // bytes from the start of the memory
    uint32_t size;
    uint32_t pages;
  };
  enum class Request { kNone, kReceive, kPoll };

  // One thing after the other, as long as it returns true.
  bool Step();
  bool DeliverPieces();
  bool DeliverReadable();
  bool DeliverShortage();
  bool DeliverDropped();
  bool DeliverOver();
  void Ask();
  // Bytes that the pool lets this socket take, as far as can be told before they are there.
  uint32_t Window() const;
  void Learn(uint64_t bytes, uint64_t pages);
  void Fail(int error);
  void Want(bool wanted);
  void SetReferenced(bool referenced);
  void UpdateHold();
  void DropPieces();
  void CancelReceive();

  std::shared_ptr<ZcrxQueue> queue_;
  FragRing& ring_;
  Scratch& scratch_;
  Counters& counters_;
  Pool* pool_ = nullptr;
  Account account_;
  UniqueFd socket_;
  LowWaterMark low_water_mark_;
  Channel::Listener* listener_ = nullptr;
  napi_env env_ = nullptr;
  ZcrxQueue::Id id_ = 0;

  std::vector<Piece> pieces_;  // that came, of which
  size_t delivered_ = 0;       // so many were delivered
  Request request_ = Request::kNone;
  uint64_t asked_ = 0;     // bytes, by the request
  uint64_t came_ = 0;      // of those
  uint64_t unmarked_ = 0;  // bytes that the low-water mark does not know of yet
  uint32_t density_ = 0;   // bytes of the stream in a page, lately
  int barren_ = 0;         // attempts in a row to which neither way of reading gave anything
  int error_ = 0;
  Demand demand_ = Demand::kAhead;
  bool end_ = false;
  bool readable_ = false;    // what comes next is not in the area: it is read as usual
  bool polled_ = false;      // there is something to be read
  bool cancelling_ = false;  // the request
  bool discarding_ = false;
  bool woken_ = false;  // by a completion, since it last had its turn
  bool wanted_ = false;
  bool referenced_ = true;
  bool holding_ = false;  // the loop
  bool closed_ = false;
  uint64_t returned_ = 0;  // buffers since the last Return()
};

}  // namespace devmem
