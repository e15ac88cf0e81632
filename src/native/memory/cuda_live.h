// What this process has of CUDA, for the tests that nothing is left behind. It is the
// process's, as CUDA's things are, and so the one static state of this addon.
#pragma once

#include <atomic>
#include <cstdint>

namespace devmem {

using CudaCount = std::atomic<int64_t>;

struct CudaLive {
  CudaCount contexts = 0;  // references to a device's primary context, but for those of memory
  CudaCount streams = 0;
  CudaCount events = 0;
  CudaCount modules = 0;
  CudaCount pinned_bytes = 0;
  CudaCount registrations = 0;
  CudaCount threads = 0;
};

inline CudaLive cuda_live;

}  // namespace devmem
