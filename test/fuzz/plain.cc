// Runs a target without a fuzzer: inputs of random bytes from a fixed seed, the same ones
// wherever it is built.
//
//   PROGRAM INPUTS LONGEST SEED
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
  if (count != 4) return 2;
  uint64_t inputs = std::strtoull(arguments[1], nullptr, 10);
  uint64_t longest = std::strtoull(arguments[2], nullptr, 10);
  std::mt19937_64 random(std::strtoull(arguments[3], nullptr, 10));
  std::vector<uint8_t> input;
  for (uint64_t i = 0; i < inputs; i++) {
    input.resize(random() % (longest + 1));
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
}
