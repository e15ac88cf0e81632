// A thread's queue of tokens: memory that it shares with the kernel, by which the fragments
// of all its sockets go back without a system call.
//
// The kernel takes up what is in the ring whenever an attached socket is read. So who goes
// on reading needs not call it for that. Where nobody reads, the queue is flushed, by one
// call for all sockets: before the event loop may sleep, or, if there was something to read
// in this turn of it, so that more may come at any moment, a millisecond later at the latest.
// Where much memory waits, it is flushed at once: a NIC that has none receives nothing, and
// then there is nothing to read.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

#include "queue/fragment_ring.h"
#include "queue/return_ring.h"
#include "receive/channel.h"
#include "support/before_sleep.h"
#include "support/mapped.h"
#include "support/unique_fd.h"

namespace devmem {

class QueueTransport;

class TokenQueue : public ChannelSource,
                   public std::enable_shared_from_this<TokenQueue>,
                   private BeforeSleep::Listener {
 public:
  // Makes the queue, in the thread's network namespace. 0 or -errno of socket(2),
  // getsockopt(SO_DEVMEM_QUEUE) (ENOPROTOOPT: the kernel has none), mmap(2) or
  // ioctl(DEVMEM_QUEUE_FLUSH); EINVAL where it was made before.
  int Open(Napi::Env env);
  // The sockets go on without it.
  void Close();
  bool open() const { return fd_.valid(); }

  std::unique_ptr<Channel> MakeChannel(Napi::Env env, Counters& counters) override;

  // For transports. Attaches a socket, which then has this name in the ring. 0 where that
  // is not to be had: it does without.
  using Cookie = uint32_t;
  Cookie Attach(int socket, QueueTransport& transport);
  // What it gave back by then has come back.
  void Detach(int socket, Cookie cookie);
  // The same for one that is closed, or will be. `counters` are not counted in any more.
  void Forget(Cookie cookie, const Counters& counters);

  // Gives tokens back by the ring. Returns how many of them, from the first on: for the
  // others there is no room, and the kernel makes none. They were this share of the memory.
  size_t GiveBack(Cookie cookie, std::span<const uint32_t> tokens, double share,
                  Counters& counters);
  // An attached socket was read.
  void NoteRead() { reads_ = true; }

  // By which the kernel tells of fragments, where it does so.
  FragmentRing& fragments() { return fragments_; }
  // It told of one by this name while another socket was read: somebody else has read it.
  // Whether that was not known yet.
  bool OnStray(Cookie cookie);

 private:
  int Make();
  int Make(int tcp, uint32_t fragment_entries, uapi::DevmemQueueCreate& made);
  int AttachBy(int socket, Cookie cookie) const;
  Cookie NewCookie();
  // Returns how many tokens it has written.
  size_t Write(Cookie cookie, std::span<const uint32_t> tokens);
  // 0 or -errno
  int Flush();
  void CountUnknown();
  void OnBeforeSleep() override;

  UniqueFd fd_;
  Mapped map_;
  ReturnRing returns_;
  FragmentRing fragments_;
  BeforeSleep sleep_;
  std::unordered_map<Cookie, QueueTransport*> attached_;
  Cookie last_cookie_ = 0;
  double share_ = 0;              // of the memory, that waits in the ring at most
  bool reads_ = false;            // in this turn of the loop
  bool refuses_ = false;          // the kernel, to flush
  uint64_t unknown_ = 0;          // tokens of which the kernel said so
  Counters* counters_ = nullptr;  // of who gave back last: what the queue does is done for it
};

}  // namespace devmem
