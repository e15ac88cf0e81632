// One allocation of device memory and its export as a dma-buf. Has no JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "memory/cuda_driver.h"
#include "support/unique_fd.h"

namespace devmem {

// Calls are made one at a time, from any thread; each returns a CUresult.
class CudaAllocation {
 public:
  CudaAllocation(std::shared_ptr<const CudaDriver> driver, int ordinal)
      : driver_(std::move(driver)), ordinal_(ordinal) {}
  CudaAllocation(const CudaAllocation&) = delete;
  CudaAllocation& operator=(const CudaAllocation&) = delete;
  // Closes the dma-buf, then frees the memory, then lets go of the context.
  ~CudaAllocation();

  // Takes the device's primary context, which the process's other users of CUDA have too.
  CUresult Retain();
  CUresult Allocate(size_t size);
  CUresult Export(unsigned long long flags);
  CUresult Read(size_t offset, void* target, size_t size);
  CUresult Write(size_t offset, const void* source, size_t size);
  // Makes what other devices wrote visible to this one.
  CUresult Flush();
  // What other processes open the memory by, from its start.
  CUresult GetIpcHandle(CUipcMemHandle* handle);
  // At the end of the process: CUDA may be gone by the time of the destructor, and
  // the kernel frees everything.
  void Abandon() { abandoned_ = true; }

  CUdeviceptr address() const { return address_; }
  size_t size() const { return size_; }
  int fd() const { return fd_.get(); }

 private:
  std::shared_ptr<const CudaDriver> driver_;
  int ordinal_;
  CUdevice device_ = -1;
  CUcontext context_ = nullptr;
  CUdeviceptr address_ = 0;
  size_t size_ = 0;
  UniqueFd fd_;
  bool abandoned_ = false;
};

}  // namespace devmem
