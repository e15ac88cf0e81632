#include "receive/pool.h"

#include <bit>

namespace devmem {

Pool::Pool(const Terms& terms)
    : terms_(terms),
      spare_(Pages(terms.limit / 4) << terms.page_shift),
      seating_(SeatingFor(0)),
      reserved_(ReservedBy(seating_)) {}

void Pool::Publish(Readout* readout) {
  readout_ = readout == nullptr ? &nowhere_ : readout;
  *readout_ = {static_cast<double>(held_), static_cast<double>(members_.size())};
}

void Pool::Join(Account& account) {
  if (account.member()) return;
  account.seat = members_.size();
  members_.push_back(&account);
  // It takes over what was kept for its seat.
  reserved_ -= seating_.floor - Reserved(account);
  Reseat();
}

void Pool::Leave(Account& account) {
  if (!account.member()) return;
  reserved_ += seating_.floor - Reserved(account);
  members_.back()->seat = account.seat;
  members_[account.seat] = members_.back();
  members_.pop_back();
  account.seat = SIZE_MAX;
  Reseat();
}

// After a change of members. Their number's next power of two decides, so that floors
// seldom change.
void Pool::Reseat() {
  readout_->members = static_cast<double>(members_.size());
  Seating next = SeatingFor(members_.size());
  if (next == seating_) return;
  uint64_t reserved = ReservedBy(next);
  // A higher floor must not take from those that are promised already.
  bool suffices = members_.size() <= seating_.seats;
  if (suffices && next.floor > seating_.floor && held_ + reserved > terms_.limit) return;
  seating_ = next;
  reserved_ = reserved;
}

// All floors together are a quarter of the limit at most; or half of it, one page each and
// none for who comes next, where a quarter has no page for each.
Pool::Seating Pool::SeatingFor(size_t members) const {
  uint64_t pages = Pages(terms_.limit);
  uint64_t seats = std::bit_ceil(uint64_t{members} + 1);
  uint64_t floor = std::min(pages / 4 / seats, kFloorPages);
  if (floor > 0) return {seats, floor << terms_.page_shift};
  seats = std::bit_ceil(std::max<uint64_t>(members, 1));
  return {seats, pages / 2 >= seats ? page_size() : 0};
}

uint64_t Pool::ReservedBy(const Seating& seating) const {
  uint64_t reserved =
      (seating.seats - std::min(seating.seats, uint64_t{members_.size()})) * seating.floor;
  for (const Account* member : members_) {
    if (member->held < seating.floor) reserved += seating.floor - member->held;
  }
  return reserved;
}

uint64_t Pool::Available(const Account& account, Demand demand) const {
  uint64_t free = terms_.limit > held_ ? terms_.limit - held_ : 0;
  uint64_t own = Reserved(account);
  uint64_t kept = reserved_ - own + (demand == Demand::kAhead ? spare_ : 0);
  return std::max(free > kept ? free - kept : 0, std::min(own, free));
}

bool Pool::Replenished(const Account& account) const {
  uint64_t available = Available(account, Demand::kWaiting);
  if (available >= std::max(terms_.limit / 4, page_size())) return true;
  // The others hold the rest, perhaps for good: half of the floor must do.
  uint64_t half = std::max(seating_.floor / 2, page_size());
  return available >= page_size() && Reserved(account) >= half;
}

}  // namespace devmem
