// Memory shared with the kernel, unmapped with its owner.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace devmem {

class Mapped {
 public:
  Mapped() = default;
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() { Reset(); }

  // Of a descriptor at an offset, or with -1 anonymous. 0 or -errno.
  int Map(size_t size, int fd = -1, int64_t offset = 0) {
    Reset();
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, offset);
    if (at == MAP_FAILED) return -errno;
    // A child that is forked has no use for it, and the kernel writes to these very pages.
    madvise(at, size, MADV_DONTFORK);
    at_ = static_cast<uint8_t*>(at);
    size_ = size;
    return 0;
  }

  void Reset() {
    if (at_ != nullptr) munmap(at_, size_);
    at_ = nullptr;
  }

  uint8_t* at(size_t offset) const { return at_ + offset; }

 private:
  uint8_t* at_ = nullptr;
  size_t size_ = 0;
};

}  // namespace devmem
