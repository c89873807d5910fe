#pragma once

#include <optional>

#include "lowbit/model/architecture.h"

namespace lowbit {

/// Llama 3's scaling from the divisors that GGUF files keep of it (`rope_freqs`): the parameters that give each divisor
/// again within float32 rounding, or nothing when none do. `architecture` has theta, head_dim and context set; its
/// `rope_scaling.original_context` may hold a hint. Only the ratios of original context, low and high factor matter to
/// the divisors, so `low_freq_factor` is 1.
[[nodiscard]] std::optional<RopeScaling> llama3_scaling_of(const std::vector<double>& divisors,
                                                           const Architecture& architecture);

}  // namespace lowbit
