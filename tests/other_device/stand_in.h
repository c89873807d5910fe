#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace lowbit::testing {

/// A device for tests whose machine has none: LibTorch's place for devices of others, with memory that nobody may
/// touch. Every operation on it copies its operands to the CPU, computes there and copies back, so that results are the
/// CPU's functional ones, and whoever takes a pointer into this memory for one into main memory dies. Link
/// stand_in.cpp.
[[nodiscard]] inline at::Device stand_in() { return {at::kPrivateUse1, 0}; }

/// How often an operation ("aten::mm.out") has been asked of the device.
[[nodiscard]] int calls_of(const std::string& operation);

/// The most bytes that tensors on the device have held together since this began.
class PeakBytes {
 public:
  PeakBytes();
  [[nodiscard]] std::int64_t most() const;
};

/// While alive, memory that the device gives is this process's own: a model of a GPU computes on it.
class ReachableMemory {
 public:
  ReachableMemory();
  ~ReachableMemory();
  ReachableMemory(const ReachableMemory&) = delete;
  ReachableMemory& operator=(const ReachableMemory&) = delete;
};

}  // namespace lowbit::testing
