// Buffers for one recvmsg call, shared by all sockets of an environment: a
// call never outlives its wake, so one of each serves every connection.
#pragma once

#include <cstddef>
#include <cstdint>

namespace devmem {

class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  // Reserves on first use. False: no address space.
  bool Ready();

  // recvmsg caps device bytes by iov_len too, although it writes only linear
  // bytes there; so this is a large reservation of which pages are touched
  // only where linear bytes arrive.
  uint8_t* linear() const { return linear_; }
  static constexpr size_t kLinearSize = 4 << 20;

  uint8_t* control() { return control_; }
  static constexpr size_t kControlSize = 41 << 10;

 private:
  uint8_t* linear_ = nullptr;
  alignas(16) uint8_t control_[kControlSize];
};

}  // namespace devmem
