// Inputs that are programs: a head, then steps, each as it lies in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace devmem::fuzz {

template <typename T>
T Load(const uint8_t* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename Head, typename Step>
class Input {
 public:
  // Bytes at the end that are no whole step are left out.
  Input(const uint8_t* data, size_t size) : valid_(size >= sizeof(Head)) {
    if (!valid_) return;
    head_ = Load<Head>(data);
    for (size_t at = sizeof(Head); at + sizeof(Step) <= size; at += sizeof(Step)) {
      steps_.push_back(Load<Step>(data + at));
    }
  }

  bool valid() const { return valid_; }
  const Head& head() const { return head_; }
  std::span<const Step> steps() const { return steps_; }

 private:
  bool valid_;
  Head head_ = {};
  std::vector<Step> steps_;
};

}  // namespace devmem::fuzz
