// A pool that the socket under test shares with others, and what is known of it.
#pragma once

#include <cstdint>
#include <deque>

#include "check.h"
#include "pool_model.h"
#include "receive/pool.h"

namespace devmem::fuzz {

class SharedPool {
 public:
  explicit SharedPool(const Pool::Terms& terms)
      : pool_(terms), model_(terms.limit, terms.page_shift) {}

  Pool& pool() { return pool_; }
  PoolModel& model() { return model_; }
  const PoolModel& model() const { return model_; }

  // Others that are members too; each takes so many 16ths of what it may.
  void Crowd(uint32_t others, uint32_t sixteenths) {
    for (uint32_t i = 0; i < others; i++) {
      Neighbour& each = neighbours_.emplace_back(model_.Add());
      pool_.Join(each.account);
      model_.Join(each.holder);
      uint64_t pages = pool_.Available(each.account, Demand::kWaiting) >> pool_.page_shift();
      Charge(each, pages * sixteenths / 16 << pool_.page_shift());
    }
  }

  // False where the others held nothing.
  bool OthersGiveBack() {
    bool any = false;
    for (Neighbour& each : neighbours_) {
      any |= each.account.held > 0;
      pool_.Discharge(each.account, each.account.held);
      model_[each.holder].held = 0;
    }
    return any;
  }

  // What others and those who do not belong see of the pool is what the model says.
  void Check() const {
    PoolModel::Sums sums = model_.Sum();
    DEMAND(pool_.held() == sums.held);
    for (const Neighbour& each : neighbours_) CheckOne(each.account, model_[each.holder], sums);
    CheckOne({}, {}, sums);
  }

 private:
  struct Neighbour {
    explicit Neighbour(size_t index) : holder(index) {}
    size_t holder;
    Account account;
  };

  void Charge(Neighbour& neighbour, uint64_t bytes) {
    pool_.Charge(neighbour.account, bytes);
    model_[neighbour.holder].held += bytes;
  }

  void CheckOne(const Account& account, const Holder& holder, const PoolModel::Sums& sums) const {
    DEMAND(account.held == holder.held);
    for (Demand demand : {Demand::kWaiting, Demand::kAhead}) {
      DEMAND(pool_.Available(account, demand) == model_.Available(holder, demand, sums));
    }
    DEMAND(pool_.Replenished(account) == model_.Replenished(holder, sums));
  }

  Pool pool_;
  PoolModel model_;
  std::deque<Neighbour> neighbours_;  // grows without moving any
};

}  // namespace devmem::fuzz
