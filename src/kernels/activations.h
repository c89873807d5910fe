#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/layout.h"

namespace lowbit::kernels {

/// Whether tokens are rounded as for kInt8.
[[nodiscard]] constexpr bool rounds_tokens(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kInt8 || arithmetic == Arithmetic::kInt8TwoLevel;
}

/// The parts of a workspace, each on a cache line of its own.
struct Arranged {
  std::byte* values = nullptr;
  float* token_scales = nullptr;     ///< kInt8: [tokens]
  float* run_scales = nullptr;       ///< kInt16: [tokens][runs]
  std::int32_t* run_sums = nullptr;  ///< [tokens][runs]
  std::size_t bytes = 0;             ///< of all
  std::int64_t bytes_per_token = 0;  ///< of values
};
/// With `space` null only the sizes are computed.
[[nodiscard]] Arranged lay_out(std::byte* space, const PackedLayout& layout, const Kernel& kernel, std::int64_t tokens);

/// Rounds tokens begin .. end - 1 of the input as the arithmetic says and puts them in the kernel's form.
struct Arranging {
  const PackedLayout& layout;
  const Kernel& kernel;
  Arithmetic arithmetic;
  const Input& input;
  const Arranged& target;
};
void arrange_tokens(const Arranging& arranging, std::int64_t begin, std::int64_t end);

}  // namespace lowbit::kernels
