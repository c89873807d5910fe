#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace lowbit::kernels {

inline constexpr std::size_t kAlignment = 64;

struct FreePacked {
  std::size_t mapped = 0;  ///< bytes that the system gave; 0: the allocator's
  void operator()(std::uint8_t* data) const;
};
using PackedBytes = std::unique_ptr<std::uint8_t, FreePacked>;

/// `bytes` that begin on a cache line, with nothing in them yet. Many are the system's own, in pages of 2 MiB where
/// they fill them: a third of the time of small pages, each of which has to be asked for at its first byte.
[[nodiscard]] PackedBytes take_packed(std::size_t bytes);

}  // namespace lowbit::kernels
