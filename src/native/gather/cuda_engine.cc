#include "gather/cuda_engine.h"

#include <cstring>

#include "gather/cuda_gather_ptx.h"

namespace devmem {

namespace {

constexpr CudaFailure kInvalid = {"gather", CUDA_ERROR_INVALID_VALUE};

bool Fits(const CudaPlace& place, uint64_t offset, uint64_t bytes) {
  return bytes > 0 && offset <= place.size && bytes <= place.size - offset;
}

}  // namespace

void CudaEngine::Close() {
  waiter_.reset();
  Retire(launched_);
  for (Slot& slot : slots_) slot.event.Reset();
  pinned_.Reset();
  module_.Reset();
  stream_.Reset();
  context_.reset();
}

CudaFailure CudaEngine::Open() {
  CudaFailure failure = context_->Retain();
  if (failure) return failure;
  CurrentContext current(context_->driver(), context_->handle());
  if (current.failure()) return current.failure();
  failure = OpenStream();
  if (!failure) failure = OpenKernel();
  if (!failure) failure = OpenSlots();
  return failure;
}

CudaFailure CudaEngine::OpenStream() {
  CUstream stream;
  CUresult result = context_->driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  if (result == CUDA_SUCCESS) stream_.Own(context_, stream);
  return {"cuStreamCreate", result};
}

CudaFailure CudaEngine::OpenKernel() {
  const CudaDriver& driver = context_->driver();
  CUmodule module;
  CUresult result = driver.cuModuleLoadDataEx(&module, kGatherPtx, 0, nullptr, nullptr);
  if (result != CUDA_SUCCESS) return {"cuModuleLoadDataEx", result};
  module_.Own(context_, module);
  return {"cuModuleGetFunction", driver.cuModuleGetFunction(&kernel_, module, "devmem_gather")};
}

CudaFailure CudaEngine::OpenSlots() {
  constexpr size_t kSlotBytes = kPieces * sizeof(Piece) + kStagingBytes;
  constexpr unsigned kFlags = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP;
  const CudaDriver& driver = context_->driver();
  void* memory;
  CUresult result = driver.cuMemHostAlloc(&memory, kSlots * kSlotBytes, kFlags);
  if (result != CUDA_SUCCESS) return {"cuMemHostAlloc", result};
  pinned_.Own(context_, memory, kSlots * kSlotBytes);
  CUdeviceptr address;
  result = driver.cuMemHostGetDevicePointer(&address, memory, 0);
  if (result != CUDA_SUCCESS) return {"cuMemHostGetDevicePointer", result};

  auto* bytes = static_cast<uint8_t*>(memory);
  for (Slot& slot : slots_) {
    slot.staging = bytes;
    slot.staging_address = address;
    slot.pieces = {reinterpret_cast<Piece*>(bytes + kStagingBytes), kPieces};
    slot.pieces_address = address + kStagingBytes;
    bytes += kSlotBytes;
    address += kSlotBytes;
    CUevent event;
    result = driver.cuEventCreate(&event, CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING);
    if (result != CUDA_SUCCESS) return {"cuEventCreate", result};
    slot.event.Own(context_, event);
  }
  return {};
}

CudaFailure CudaEngine::Start(std::function<void()> notify) {
  auto event = [this](uint64_t number) { return SlotOf(number).event.get(); };
  waiter_.emplace(context_, stream_.get(), event, std::move(notify));
  return waiter_->Start();
}

CudaEngine::Started CudaEngine::Gather(const CudaPlace& source, const Fragments& fragments,
                                       const std::optional<CudaPlace>& target, uint64_t offset) {
  const uint64_t length = fragments.length;
  bool staged = !target || source.address == 0;
  if (length == 0 || (staged && length > kStagingBytes)) return {0, kInvalid};
  if (target && !Fits(*target, offset, length)) return {0, kInvalid};
  // One of the two has to be the GPU's.
  if (source.address == 0 && (source.host == nullptr || !target)) return {0, kInvalid};

  return Launch(source, target.value_or(CudaPlace()), [&](Slot& slot) -> CudaFailure {
    if (source.address == 0) {
      uint8_t* to = slot.staging;
      bool inside = ForEachFragment(fragments, source.size, [&](uint64_t from, uint64_t size) {
        std::memcpy(to, source.host + from, size);
        to += size;
      });
      return inside ? StartUpload(slot, length, target->address + offset) : kInvalid;
    }
    if (!target) slot.staged = static_cast<uint32_t>(length);
    CUdeviceptr to = target ? target->address + offset : slot.staging_address;
    auto pieces = CutIntoPieces(fragments, source.address, source.size, to, slot.pieces);
    return pieces ? StartKernel(slot, *pieces) : kInvalid;
  });
}

CudaEngine::Started CudaEngine::Write(std::span<const uint8_t> bytes, const CudaPlace& target,
                                      uint64_t offset) {
  if (bytes.size() > kStagingBytes || !Fits(target, offset, bytes.size())) return {0, kInvalid};
  return Launch({}, target, [&](Slot& slot) {
    std::memcpy(slot.staging, bytes.data(), bytes.size());
    return StartUpload(slot, bytes.size(), target.address + offset);
  });
}

template <typename Work>
CudaEngine::Started CudaEngine::Launch(const CudaPlace& source, const CudaPlace& target,
                                       Work work) {
  if (full()) return {};
  // A failure is that of all that follows.
  CudaFailure failure = waiter_->progress().failure;
  if (failure) return {0, failure};
  const CudaDriver& driver = context_->driver();
  CurrentContext current(driver, context_->handle());
  if (current.failure()) return {0, current.failure()};

  Slot& slot = SlotOf(launched_ + 1);
  slot.staged = 0;
  failure = work(slot);
  if (failure) return {0, failure};
  CUresult result = driver.cuEventRecord(slot.event.get(), stream_.get());
  if (result != CUDA_SUCCESS) {
    // The work is under way, and nobody would know when it ends.
    driver.cuStreamSynchronize(stream_.get());
    return {0, {"cuEventRecord", result}};
  }
  slot.source = source.keeper;
  slot.target = target.keeper;
  waiter_->Launched(++launched_);
  return {launched_};
}

CudaFailure CudaEngine::StartKernel(Slot& slot, uint32_t pieces) {
  void* parameters[] = {&slot.pieces_address, &pieces};
  unsigned blocks = (pieces + kWarps - 1) / kWarps;
  CUresult result = context_->driver().cuLaunchKernel(kernel_, blocks, 1, 1, kWarps * kLanes, 1, 1,
                                                      0, stream_.get(), parameters, nullptr);
  return {"cuLaunchKernel", result};
}

CudaFailure CudaEngine::StartUpload(Slot& slot, uint64_t bytes, CUdeviceptr target) {
  CUresult result =
      context_->driver().cuMemcpyHtoDAsync(target, slot.staging, bytes, stream_.get());
  return {"cuMemcpyHtoDAsync", result};
}

std::span<const uint8_t> CudaEngine::Staged(uint64_t number) const {
  const Slot& slot = slots_[number % kSlots];
  return {slot.staging, slot.staged};
}

void CudaEngine::Retire(uint64_t number) {
  while (retired_ < number) {
    Slot& slot = SlotOf(++retired_);
    slot.source.reset();
    slot.target.reset();
  }
}

}  // namespace devmem
