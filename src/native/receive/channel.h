// Waiting and delivering: one socket's way in, as a receiver has it. What waits may be
// the socket itself (polled_channel.h), or something that serves many sockets, such as a
// ring of completions: then each of them has a channel, and the ring delivers to it.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "receive/transport.h"

namespace devmem {

struct Slot;

// A batch, as JavaScript is told of it.
struct Arrival {
  uint32_t first = 0;         // number of the first descriptor
  uint32_t count = 0;         // possibly none
  int error = 0;              // -errno, after which nothing comes
  bool end = false;           // nor after this
  bool stalled = false;       // for want of memory, nothing more is read until Resume
  bool ahead = false;         // enough was read ahead: nothing more until somebody waits
  bool landed = false;        // the landing is full, or its memory gone
  uint64_t linear_bytes = 0;  // in scratch memory, during the call
};

class Channel {
 public:
  // Told of what came, from the event loop. May do anything to the channel but delete it.
  class Listener {
   public:
    virtual void OnArrival(const Arrival& arrival) = 0;

   protected:
    ~Listener() = default;
  };

  virtual ~Channel() = default;

  // Fragments may lie in this pool too. 0 or -errno, as Transport::Join says.
  virtual int Join(Pool& pool) = 0;

  // Duplicates the descriptor; does not start to read. 0 or -errno.
  virtual int Open(Napi::Env env, int fd, Listener* listener) = 0;
  // Reads, for somebody who waits or ahead of all who do. 0 or -errno.
  virtual int Resume(Demand demand) = 0;
  virtual void Pause() = 0;
  // After a stall: whether to read on pays already, or is possible at all.
  virtual bool Replenished() const = 0;
  virtual bool HasRoom() const = 0;
  virtual bool HoldsAll() const = 0;
  // From now on reads and drops all that comes; only an end or an error is delivered. 0
  // or -errno.
  virtual int Discard() = 0;
  // From now on reads into such memory, until it is full. Taken from and given back to the
  // caller with EndLanding(). 0 or -errno: -EOPNOTSUPP where this way of receiving cannot.
  virtual int Land(const Napi::Value& target, double at, double length) = 0;
  // How many bytes came.
  virtual uint64_t EndLanding() = 0;
  virtual void Ref() = 0;
  virtual void Unref() = 0;
  // Reads no more. The socket stays where `held`: its fragments live as long as it does.
  virtual void Close(bool held) = 0;
  // The last of them was given back.
  virtual void CloseSocket() = 0;

  // Giving back: see Transport.
  virtual uint32_t Unpin(SlotColumns& slot, uint32_t index, uint32_t count) = 0;
  virtual bool UnpinPart(SlotColumns&, uint32_t, uint32_t, uint32_t) { return false; }
  virtual int Return() = 0;
  virtual bool Queued() const { return false; }

  // 0 or -errno of SO_RCVBUF, in bytes as the kernel accounts them.
  virtual int SetReceiveBuffer(int bytes) = 0;
  // 0 or -errno; see LowWaterMark::Set.
  virtual int SetLowWaterMark(uint32_t bytes, uint64_t ahead) = 0;
};

// What waits for many sockets at once, as a pool has it.
class ChannelSource {
 public:
  virtual ~ChannelSource() = default;
  virtual std::unique_ptr<Channel> MakeChannel(Napi::Env env, Counters& counters) = 0;
};

// The channel for sockets that receive into such a pool: the pool's own source makes it;
// without one, the socket is polled.
std::unique_ptr<Channel> MakeChannel(Napi::Env env, const Pool& pool, Counters& counters);

}  // namespace devmem
