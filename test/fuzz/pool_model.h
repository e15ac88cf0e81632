// What a pool has to answer, worked out anew at each question from what every socket
// holds; written apart from Pool, to be held against it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "receive/pool.h"

namespace devmem::fuzz {

struct Holder {
  uint64_t held = 0;  // bytes
  bool member = false;
};

class PoolModel {
 public:
  PoolModel(uint64_t limit, uint32_t page_shift)
      : limit_(limit), page_(uint64_t{1} << page_shift), seating_(SeatingFor(0)) {}

  // Holders keep their index.
  size_t Add() {
    holders_.emplace_back();
    return holders_.size() - 1;
  }
  Holder& operator[](size_t index) { return holders_[index]; }
  const Holder& operator[](size_t index) const { return holders_[index]; }
  size_t size() const { return holders_.size(); }

  void Join(size_t index) { Seat(index, true); }
  void Leave(size_t index) { Seat(index, false); }

  uint64_t limit() const { return limit_; }
  uint64_t page() const { return page_; }
  uint64_t floor() const { return seating_.floor; }

  uint64_t Members() const {
    return static_cast<uint64_t>(std::count_if(holders_.begin(), holders_.end(),
                                               [](const Holder& each) { return each.member; }));
  }

  // Sums over all holders. One of these serves any number of questions.
  struct Sums {
    uint64_t held = 0;
    // What the floors still keep for those below theirs, and for seats that are free.
    uint64_t reserved = 0;
  };
  Sums Sum() const { return SumWith(seating_); }

  // Whether there is memory for all that the floors promise.
  bool Covered(const Sums& sums) const { return sums.held + sums.reserved <= limit_; }
  bool Covered() const { return Covered(Sum()); }

  // What the floor still keeps for a holder.
  uint64_t Reserved(const Holder& holder) const { return Below(holder, floor()); }

  uint64_t Available(const Holder& holder, Demand demand, const Sums& sums) const {
    uint64_t free = Less(limit_, sums.held);
    uint64_t own = Reserved(holder);
    uint64_t for_others = sums.reserved - own;
    if (demand == Demand::kAhead) for_others += Spare();
    return std::max(Less(free, for_others), std::min(own, free));
  }
  uint64_t Available(const Holder& holder, Demand demand) const {
    return Available(holder, demand, Sum());
  }

  bool Replenished(const Holder& holder, const Sums& sums) const {
    uint64_t available = Available(holder, Demand::kWaiting, sums);
    if (available < page_) return false;
    uint64_t own = Reserved(holder);
    return available >= limit_ / 4 || (own >= page_ && 2 * own >= floor());
  }
  bool Replenished(const Holder& holder) const { return Replenished(holder, Sum()); }

  // Whole pages of a quarter, which reading ahead leaves free.
  uint64_t Spare() const { return limit_ / 4 / page_ * page_; }

 private:
  static uint64_t Less(uint64_t from, uint64_t what) { return from > what ? from - what : 0; }
  static uint64_t Below(const Holder& holder, uint64_t floor) {
    return holder.member ? Less(floor, holder.held) : 0;
  }

  struct Seating {
    uint64_t seats;
    uint64_t floor;
  };

  Sums SumWith(const Seating& seating) const {
    Sums sums;
    for (const Holder& each : holders_) {
      sums.held += each.held;
      sums.reserved += Below(each, seating.floor);
    }
    sums.reserved += Less(seating.seats, Members()) * seating.floor;
    return sums;
  }

  // A quarter for all seats, of which one at least is free; or half for the members alone.
  Seating SeatingFor(uint64_t members) const {
    uint64_t pages = limit_ / page_;
    uint64_t seats = 1;
    while (seats < members + 1) seats *= 2;
    if (pages >= 4 * seats) return {seats, std::min<uint64_t>(pages / (4 * seats), 16) * page_};
    if (seats / 2 >= std::max<uint64_t>(members, 1)) seats /= 2;
    return {seats, pages >= 2 * seats ? page_ : 0};
  }

  // The floor falls where there are no seats left, and rises only where there is memory for
  // all that it keeps.
  void Seat(size_t index, bool member) {
    if (std::exchange(holders_[index].member, member) == member) return;
    Seating next = SeatingFor(Members());
    Sums sums = SumWith(next);
    bool stays = Members() <= seating_.seats && next.floor > seating_.floor &&
                 sums.held + sums.reserved > limit_;
    if (!stays) seating_ = next;
  }

  uint64_t limit_;
  uint64_t page_;
  Seating seating_;
  std::vector<Holder> holders_;
};

}  // namespace devmem::fuzz
