// Copies on a GPU: to and from its memory, and host memory that it maps, by one launch
// of a kernel for each stretch of scattered fragments. Has no JavaScript, and is called
// from one thread, but for Open(), which may be called on another one before all else.
//
// A launch occupies a slot until it has ended and its end was taken (Retire). Slots
// serve by turns, so launches end in the order in which they were made.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "gather/cuda_pieces.h"
#include "gather/cuda_waiter.h"
#include "memory/cuda_context.h"
#include "memory/cuda_owned.h"

namespace devmem {

// Memory to copy from or to, and what keeps it.
struct CudaPlace {
  CUdeviceptr address = 0;  // as the GPU has it; 0: it has not
  uint8_t* host = nullptr;  // as the CPU has it; null: it has not
  uint64_t size = 0;        // bytes
  std::shared_ptr<void> keeper;
};

class CudaEngine {
 public:
  static constexpr uint32_t kSlots = 16;
  static constexpr uint32_t kFragments = 1024;          // of one launch at most
  static constexpr uint32_t kStagingBytes = 256 << 10;  // of one that goes through staging

  explicit CudaEngine(std::shared_ptr<CudaContext> context) : context_(std::move(context)) {}
  CudaEngine(const CudaEngine&) = delete;
  CudaEngine& operator=(const CudaEngine&) = delete;
  ~CudaEngine() { Close(); }

  // Makes the context, stream, slots and kernel.
  CudaFailure Open();

  // The number of the launch; 0: it failed, or else all slots are taken.
  struct Started {
    uint64_t number = 0;
    CudaFailure failure = {};
  };
  // Copies fragments of `source` to `target` from `offset` on. Without `target` they go
  // to staging, where Staged() has them once the launch is done.
  Started Gather(const CudaPlace& source, const Fragments& fragments,
                 const std::optional<CudaPlace>& target, uint64_t offset);
  // Copies bytes, at most kStagingBytes, to `target`; they are read before it returns.
  Started Write(std::span<const uint8_t> bytes, const CudaPlace& target, uint64_t offset);

  // Has `notify` called, on another thread, whenever launches have ended; once.
  CudaFailure Start(std::function<void()> notify);
  CudaWaiter::Progress progress() { return waiter_->progress(); }
  // What a launch that is done, and was not retired yet, has put into staging.
  std::span<const uint8_t> Staged(uint64_t number) const;
  // The slots of all launches up to `number` are free.
  void Retire(uint64_t number);

  // Waits for all that is under way, and gives everything back; the last call but for
  // that of the destructor.
  void Close();

  uint64_t retired() const { return retired_; }
  uint64_t in_flight() const { return launched_ - retired_; }
  // At the end of the process: nothing is given back.
  void Abandon() { context_->Abandon(); }

 private:
  static constexpr uint32_t kPieces = 4096;
  static constexpr uint32_t kLanes = 32;
  static constexpr uint32_t kWarps = 4;  // of a block

  struct Slot {
    CudaEvent event;
    std::span<Piece> pieces;
    CUdeviceptr pieces_address = 0;
    uint8_t* staging = nullptr;
    CUdeviceptr staging_address = 0;
    uint32_t staged = 0;  // bytes that the launch puts there
    std::shared_ptr<void> source, target;
  };

  CudaFailure OpenStream();
  CudaFailure OpenKernel();
  CudaFailure OpenSlots();
  Slot& SlotOf(uint64_t number) { return slots_[number % kSlots]; }
  bool full() const { return in_flight() == kSlots; }

  // `start` puts work on the stream for the next slot.
  template <typename Work>
  Started Launch(const CudaPlace& source, const CudaPlace& target, Work work);
  CudaFailure StartKernel(Slot& slot, uint32_t pieces);
  CudaFailure StartUpload(Slot& slot, uint64_t bytes, CUdeviceptr target);

  std::shared_ptr<CudaContext> context_;
  CudaStream stream_;
  CudaModule module_;
  CUfunction kernel_ = nullptr;
  CudaPinned pinned_;  // the slots' pieces and staging
  std::array<Slot, kSlots> slots_;
  std::optional<CudaWaiter> waiter_;
  uint64_t launched_ = 0;
  uint64_t retired_ = 0;
};

}  // namespace devmem
