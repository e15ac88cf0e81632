// Waits on a thread of its own for what was launched on a stream, in order, so that the
// event loop neither spins nor blocks. A host function on the stream would not do: CUDA
// does not call it after an error, and the stream stands still while it runs.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "memory/cuda_context.h"

namespace devmem {

class CudaWaiter {
 public:
  // Launches are numbered from 1.
  struct Progress {
    uint64_t done = 0;    // those up to here are done
    uint64_t ended = 0;   // those up to here have ended: done, or else failed
    CudaFailure failure;  // of those after `done`, and of all that come
  };

  // `event(n)`: the event of launch n; `notify`: called on the thread after each progress.
  CudaWaiter(std::shared_ptr<const CudaContext> context, CUstream stream,
             std::function<CUevent(uint64_t)> event, std::function<void()> notify);
  CudaWaiter(const CudaWaiter&) = delete;
  CudaWaiter& operator=(const CudaWaiter&) = delete;
  ~CudaWaiter() { Stop(); }

  CudaFailure Start();
  // Launch `number`, the next one, is on the stream, its event recorded.
  void Launched(uint64_t number);
  Progress progress();
  // Waits for all that was launched, and ends the thread.
  void Stop();

 private:
  static void* Run(void* self);
  void Run();
  CudaFailure Wait(uint64_t number);

  std::shared_ptr<const CudaContext> context_;
  CUstream stream_;
  std::function<CUevent(uint64_t)> event_;
  std::function<void()> notify_;
  pthread_t thread_ = {};
  bool running_ = false;

  std::mutex mutex_;  // for what follows
  // std::condition_variable::wait takes a libstdc++ of GCC 12.
  pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
  uint64_t launched_ = 0;
  Progress progress_;
  bool stop_ = false;
};

}  // namespace devmem
