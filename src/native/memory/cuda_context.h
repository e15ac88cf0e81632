// A device's primary context, which the process's other users of CUDA have too, and
// making it a thread's own for a call. Has no JavaScript.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "memory/cuda_driver.h"

namespace devmem {

// What a call came to.
struct CudaFailure {
  const char* call = nullptr;  // what failed; null: nothing
  CUresult result = CUDA_SUCCESS;

  explicit operator bool() const { return result != CUDA_SUCCESS; }
};

// Makes a context this thread's for as long as it lives. Which one a thread has is
// its own affair, so each call sets it, and puts back what was there.
class CurrentContext {
 public:
  CurrentContext(const CudaDriver& driver, CUcontext context) : driver_(driver) {
    driver_.cuCtxGetCurrent(&previous_);
    result_ = driver_.cuCtxSetCurrent(context);
  }
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;
  ~CurrentContext() { driver_.cuCtxSetCurrent(previous_); }

  CUresult result() const { return result_; }
  CudaFailure failure() const { return {"cuCtxSetCurrent", result_}; }

 private:
  const CudaDriver& driver_;
  CUcontext previous_ = nullptr;
  CUresult result_;
};

class CudaContext {
 public:
  CudaContext(std::shared_ptr<const CudaDriver> driver, int ordinal)
      : driver_(std::move(driver)), ordinal_(ordinal) {}
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;
  ~CudaContext();

  // Once, before all else; making the context takes a good part of a second.
  CudaFailure Retain();
  // At the end of the process: CUDA may be gone by the time of the destructors, and the
  // kernel frees everything. From any thread.
  void Abandon() { abandoned_ = true; }

  const CudaDriver& driver() const { return *driver_; }
  CUcontext handle() const { return context_; }
  bool abandoned() const { return abandoned_; }

 private:
  std::shared_ptr<const CudaDriver> driver_;
  int ordinal_;
  CUdevice device_ = -1;
  CUcontext context_ = nullptr;
  std::atomic<bool> abandoned_ = false;
};

}  // namespace devmem
