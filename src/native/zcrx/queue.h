// What waits for all sockets of one binding: the event loop polls the ring of its rx queue,
// and completions are sorted to the sockets' channels, each of which then delivers.
//
// The kernel puts completions into the ring only while it is entered
// (IORING_SETUP_DEFER_TASKRUN), so that a wake is: enter, sort, deliver.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "receive/channel.h"
#include "support/poller.h"
#include "support/turn.h"
#include "zcrx/ifq.h"

namespace devmem {

class ZcrxChannel;

class ZcrxQueue : public ChannelSource,
                  public std::enable_shared_from_this<ZcrxQueue>,
                  private Poller::Listener,
                  private Turn::Listener {
 public:
  class Listener {
   public:
    // The NIC found no memory to receive into: from the event loop.
    virtual void OnMemoryDry() = 0;

   protected:
    ~Listener() = default;
  };

  // Makes the ring. 0 or -errno of io_uring_setup(2) (EINVAL a second time, too).
  int Open();
  // Takes the rx queue. 0 or -errno of io_uring_register(2) (EBADF without a ring, EINVAL a
  // second time, too). Until Close() tells the listener.
  int Register(Napi::Env env, const Ifq::Request& request, Listener* listener);
  // Gives the rx queue up. What the sockets have by then they deliver, and then -ECANCELED.
  void Close();
  bool registered() const { return ifq_.registered(); }
  // Whether it has ever been.
  bool taken() const { return taken_; }

  std::unique_ptr<Channel> MakeChannel(Napi::Env env, Counters& counters) override;

  // For channels, by the number that Add() gave.
  using Id = uint64_t;
  Id Add(ZcrxChannel& channel);
  // Cancels what is under way for it, at once, or where the kernel takes nothing now, soon.
  void Remove(Id id);
  // Asks for at most so many bytes of the stream; false where that has to be tried again.
  bool Receive(Id id, int socket, uint32_t bytes);
  // Asks to be told when there is something to read, or the end.
  bool Poll(Id id, int socket);
  void CancelReceive(Id id);
  // Has the channel called (Advance) soon, and not from within this.
  void Touch(Id id);
  // Counts a channel that keeps the loop alive, or counts it out.
  void Hold(bool on);

  void GiveBack(uint32_t unit) { ifq_.GiveBack(unit); }
  // See Ifq::Publish.
  int Publish();

 private:
  void OnReady(bool failed) override;
  void OnTurn() override { Serve(); }
  void Serve();
  // One pass: whether another one has something to do.
  bool ServeOnce();
  void Sort();
  void Sort(const Completion& completion);
  void SortReceived(Id id, const Completion& completion);
  void MarkTouched(Id id, ZcrxChannel& channel);
  ZcrxChannel* Find(Id id);
  io_uring_sqe* Prepare(uint8_t opcode, Id id, uint64_t kind);
  void Cancel(Id id, uint64_t kind);
  void SubmitCancels();
  // Whether there is something for the kernel that it has not taken.
  bool Owes() const;
  void Lose(int error);

  Ifq ifq_;
  Poller poller_;
  Turn turn_;
  Listener* listener_ = nullptr;
  std::unordered_map<Id, ZcrxChannel*> channels_;
  std::vector<Id> touched_;
  std::vector<Id> advancing_;
  std::vector<uint64_t> cancels_;  // requests to be cancelled, by their user_data
  Id last_id_ = 0;
  int held_ = 0;
  bool opened_ = false;  // whether or not that worked
  bool asked_ = false;   // so for the rx queue
  bool taken_ = false;   // and that did
  bool serving_ = false;
  bool dry_ = false;     // so the kernel said, and is not asked to say it again yet
  bool untold_ = false;  // nor does the listener know
};

}  // namespace devmem
