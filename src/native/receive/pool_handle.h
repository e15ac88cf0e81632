// A pool as JavaScript has it: one per binding.
#pragma once

#include <napi.h>

#include <memory>

#include "receive/pool.h"
#include "support/wrapped.h"

namespace devmem {

class PoolHandle : public Wrapped<PoolHandle> {
 public:
  static Napi::Function Define(Napi::Env env);
  static PoolHandle* From(const Napi::Value& value);

  // (id, size, pageSize, limit, readout, mapping | zcrx queue | token queue | undefined)
  explicit PoolHandle(const Napi::CallbackInfo& info);
  ~PoolHandle() override;

  const std::shared_ptr<Pool>& pool() const { return pool_; }

 private:
  std::shared_ptr<Pool> pool_;
  Napi::Reference<Napi::TypedArray> readout_;
};

}  // namespace devmem
