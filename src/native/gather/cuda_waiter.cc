#include "gather/cuda_waiter.h"

#include <signal.h>

#include <utility>

#include "memory/cuda_live.h"

namespace devmem {

CudaWaiter::CudaWaiter(std::shared_ptr<const CudaContext> context, CUstream stream,
                       std::function<CUevent(uint64_t)> event, std::function<void()> notify)
    : context_(std::move(context)),
      stream_(stream),
      event_(std::move(event)),
      notify_(std::move(notify)) {}

CudaFailure CudaWaiter::Start() {
  // Signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread_, nullptr, Run, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return {"pthread_create", CUDA_ERROR_OPERATING_SYSTEM};
  running_ = true;
  cuda_live.threads++;
  return {};
}

void CudaWaiter::Launched(uint64_t number) {
  std::lock_guard lock(mutex_);
  launched_ = number;
  pthread_cond_signal(&changed_);
}

CudaWaiter::Progress CudaWaiter::progress() {
  std::lock_guard lock(mutex_);
  return progress_;
}

void CudaWaiter::Stop() {
  if (!running_) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    pthread_cond_signal(&changed_);
  }
  pthread_join(thread_, nullptr);
  running_ = false;
  cuda_live.threads--;
}

void* CudaWaiter::Run(void* self) {
  static_cast<CudaWaiter*>(self)->Run();
  return nullptr;
}

void CudaWaiter::Run() {
  CurrentContext current(context_->driver(), context_->handle());
  std::unique_lock lock(mutex_);
  for (;;) {
    while (launched_ == progress_.ended && !stop_) {
      pthread_cond_wait(&changed_, mutex_.native_handle());
    }
    // Also to be stopped it first waits for what the GPU still does.
    if (launched_ == progress_.ended) return;
    uint64_t number = progress_.ended + 1;
    CudaFailure failure = progress_.failure;
    lock.unlock();
    if (!failure) failure = Wait(number);
    // Whatever the failure is, nothing may still be at work when it is told of: the
    // memory is used otherwise from then on.
    if (failure) context_->driver().cuStreamSynchronize(stream_);
    lock.lock();
    progress_.failure = failure;
    if (!failure) progress_.done = number;
    progress_.ended = number;
    lock.unlock();
    notify_();
    lock.lock();
  }
}

CudaFailure CudaWaiter::Wait(uint64_t number) {
  return {"cuEventSynchronize", context_->driver().cuEventSynchronize(event_(number))};
}

}  // namespace devmem
