#pragma once

#include "fuzz/fuzz.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit::fuzzing {

/// Reads a tensor's first and last byte and its size, as whoever uses it would.
inline void touch(const TensorEntry& tensor) {
  if (tensor.elements() < 0) report("a tensor has a negative number of elements");
  if (tensor.data.empty()) return;
  [[maybe_unused]] const volatile std::byte first = tensor.data.front();
  [[maybe_unused]] const volatile std::byte last = tensor.data.back();
}

}  // namespace lowbit::fuzzing
