#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit {

/// The product of the dimensions, or nothing when one is negative or the product of those above 0 leaves int64. (A zero
/// elsewhere does not excuse an overflow: strides are products of some dimensions only.)
[[nodiscard]] std::optional<std::int64_t> checked_elements(std::span<const std::int64_t> shape);

/// Bytes that so many elements take, or nothing when they are no whole number of blocks or the result leaves int64.
[[nodiscard]] std::optional<std::uint64_t> checked_bytes(std::int64_t elements, const BlockSize& block);

/// Writes the data of several tensors one after the other, each padded with zeros to the alignment, and sees to it that
/// every byte is given and none runs into the next tensor.
class DataStream {
 public:
  DataStream(std::vector<std::uint64_t> sizes, std::uint64_t alignment);
  void write(AtomicFile& file, const void* data, std::size_t size);
  /// Throws `kInternal` when bytes are missing.
  void check_complete() const;

 private:
  std::vector<std::uint64_t> sizes_;
  std::uint64_t alignment_;
  std::size_t current_ = 0;
  std::uint64_t done_ = 0;  // bytes of the current tensor
};

}  // namespace lowbit
