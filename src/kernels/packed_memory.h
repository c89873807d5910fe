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

/// `bytes` that begin on a cache line, to be written first. Many are the system's own, in pages of 2 MiB where they
/// fill them: small ones, each of which has to be asked for at its first byte, take half as long again. They are asked
/// for here, since threads that do so at once can wait long for each other.
[[nodiscard]] PackedBytes take_packed(std::size_t bytes);

}  // namespace lowbit::kernels
