// A binding's memory, as the sockets that receive into it share it.
//
// The kernel does not hold a sender back when a dma-buf runs dry: fragments that are
// held are not charged to the socket's receive memory. So the receiver does, and the
// pool tells how far each socket may go. Three rules:
//
//   - all sockets together hold at most `limit` bytes;
//   - each member has a floor, a few pages that no other socket can take from it, and so
//     has each seat that is kept for who comes next: what one consumer keeps, or reads
//     ahead, starves nobody;
//   - reading ahead, with no one waiting, leaves a quarter free for those who come.
//
// Floors are smaller the more members there are. Where there are more of them than seats,
// while others hold all there is, the newest find theirs as memory comes back; and none
// has any where there are more than twice as many as pages.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "receive/copy_arena.h"

namespace devmem {

inline constexpr uint32_t kMinPageShift = 12;  // PAGE_SHIFT, and its like on the copy transport

// What a socket holds of one pool. A member, with a floor, from Join to Leave; what it
// still holds after that counts until it is given back.
struct Account {
  uint64_t held = 0;  // bytes, whole pages
  size_t seat = SIZE_MAX;

  bool member() const { return seat != SIZE_MAX; }
};

// Whose turn a read is: somebody waits for it, or it is ahead of all who do.
enum class Demand { kWaiting, kAhead };

class ChannelSource;

class Pool {
 public:
  struct Terms {
    uint32_t id;          // the kernel's binding id, or one of the copy transport's own
    uint64_t size;        // bytes of the dma-buf
    uint64_t limit;       // bytes that may be held
    uint32_t page_shift;  // of the pages that a fragment keeps whole
  };

  // What JavaScript sees, written and never read here.
  struct Readout {
    double held;     // bytes
    double members;  // sockets that may receive into the memory
  };

  explicit Pool(const Terms& terms);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Where to write it from now on; null: nowhere.
  void Publish(Readout* readout);

  uint32_t id() const { return terms_.id; }
  uint64_t size() const { return terms_.size; }
  uint32_t page_shift() const { return terms_.page_shift; }
  uint64_t page_size() const { return uint64_t{1} << terms_.page_shift; }
  uint64_t held() const { return held_; }
  size_t members() const { return members_.size(); }

  // The memory that the copy transport fills, or null where the NIC fills it.
  CopyArena* arena() const { return arena_.get(); }
  void SetArena(std::unique_ptr<CopyArena> arena) { arena_ = std::move(arena); }

  // What waits for the sockets, or null where each waits for itself.
  ChannelSource* channels() const { return channels_.get(); }
  void SetChannels(std::shared_ptr<ChannelSource> channels) { channels_ = std::move(channels); }

  void Join(Account& account);
  void Leave(Account& account);

  // Bytes that the socket may take besides what it holds.
  uint64_t Available(const Account& account, Demand demand) const;
  // Whether enough is free for a socket that stalled to read on, and not to stall again
  // after each fragment.
  bool Replenished(const Account& account) const;

  void Charge(Account& account, uint64_t bytes) {
    Set(account, account.held + bytes, held_ + bytes);
  }
  void Discharge(Account& account, uint64_t bytes) {
    Set(account, account.held - bytes, held_ - bytes);
  }

 private:
  static constexpr uint64_t kFloorPages = 16;

  uint64_t Pages(uint64_t bytes) const { return bytes >> terms_.page_shift; }
  // What the floor still keeps free for this member.
  uint64_t Reserved(const Account& account) const {
    return account.member() && account.held < seating_.floor ? seating_.floor - account.held : 0;
  }
  void Set(Account& account, uint64_t held_by_it, uint64_t held_by_all) {
    reserved_ -= Reserved(account);
    account.held = held_by_it;
    held_ = held_by_all;
    reserved_ += Reserved(account);
    readout_->held = static_cast<double>(held_);
  }
  // How many have a floor, and which.
  struct Seating {
    uint64_t seats;
    uint64_t floor;  // bytes
    bool operator==(const Seating&) const = default;
  };
  Seating SeatingFor(size_t members) const;
  // What the floors of a seating keep free.
  uint64_t ReservedBy(const Seating& seating) const;
  void Reseat();

  const Terms terms_;
  Readout nowhere_ = {};
  Readout* readout_ = &nowhere_;
  std::vector<Account*> members_;
  const uint64_t spare_;  // what reading ahead leaves
  uint64_t held_ = 0;
  Seating seating_;
  uint64_t reserved_;  // ReservedBy(seating_)
  std::unique_ptr<CopyArena> arena_;
  std::shared_ptr<ChannelSource> channels_;
};

}  // namespace devmem
