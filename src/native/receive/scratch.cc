#include "receive/scratch.h"

#include <sys/mman.h>

namespace devmem {

Scratch::~Scratch() {
  if (linear_ != nullptr) munmap(linear_, kLinearSize);
}

bool Scratch::Ready() {
  if (linear_ != nullptr) return true;
  void* memory = mmap(nullptr, kLinearSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  linear_ = static_cast<uint8_t*>(memory);
  return true;
}

}  // namespace devmem
