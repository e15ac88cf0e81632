#include "receive/pool.h"

#include <bit>

namespace devmem {

Pool::Pool(const Terms& terms)
    : terms_(terms), spare_(Pages(terms.limit / 4) << terms.page_shift), floor_(FloorFor(0)) {}

void Pool::Publish(Readout* readout) {
  readout_ = readout == nullptr ? &nowhere_ : readout;
  *readout_ = {static_cast<double>(held_), static_cast<double>(members_.size())};
}

void Pool::Join(Account& account) {
  if (account.member()) return;
  account.seat = members_.size();
  members_.push_back(&account);
  reserved_ += Reserved(account);
  Seated();
}

void Pool::Leave(Account& account) {
  if (!account.member()) return;
  reserved_ -= Reserved(account);
  members_.back()->seat = account.seat;
  members_[account.seat] = members_.back();
  members_.pop_back();
  account.seat = SIZE_MAX;
  Seated();
}

// After a change of members. The floor depends on their number's next power of two
// alone, so that it seldom changes.
void Pool::Seated() {
  readout_->members = static_cast<double>(members_.size());
  uint64_t floor = FloorFor(members_.size());
  if (floor == floor_) return;
  floor_ = floor;
  reserved_ = 0;
  for (const Account* member : members_) reserved_ += Reserved(*member);
}

// Bytes: all floors together are a quarter of the limit at most, or half of it where a
// quarter would not give each member its one page.
uint64_t Pool::FloorFor(size_t members) const {
  uint64_t seats = std::bit_ceil(std::max<uint64_t>(members, 1));
  uint64_t pages = std::min(Pages(terms_.limit) / 4 / seats, kFloorPages);
  if (pages == 0 && Pages(terms_.limit) / 2 >= seats) pages = 1;
  return pages << terms_.page_shift;
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
  return available >= page_size() && Reserved(account) >= std::max(floor_ / 2, page_size());
}

}  // namespace devmem
