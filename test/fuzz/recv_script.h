// What comes on a plain socket, call by call.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>

namespace devmem::fuzz {

class RecvScript {
 public:
  // What one call gives: bytes, or none and an error number, 0 for the end.
  struct Answer {
    uint64_t bytes;
    int error;

    bool is_end() const { return bytes == 0 && error == 0; }
  };

  // Pieces of so many bytes: no call gives more than one.
  void Send(uint32_t pieces, uint64_t bytes) {
    for (uint32_t i = 0; i < pieces && bytes > 0; i++) answers_.push_back({bytes, 0});
  }
  void Refuse(int error) { answers_.push_back({0, error}); }
  void End() { answers_.push_back({0, 0}); }

  // An end lasts, and bytes beyond `most` wait for the next call.
  Answer Next(uint64_t most) {
    if (answers_.empty()) return {0, EAGAIN};
    Answer& front = answers_.front();
    Answer answer = {std::min(front.bytes, most), front.error};
    front.bytes -= answer.bytes;
    if (front.bytes == 0 && !answer.is_end()) answers_.pop_front();
    return answer;
  }

 private:
  std::deque<Answer> answers_;
};

}  // namespace devmem::fuzz
