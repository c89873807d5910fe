#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/tensor/rotation.h"

namespace lowbit {

/// Paley's construction (R. E. A. C. Paley, "On orthogonal matrices", 1933) that gives a Hadamard matrix of this order:
/// the first for q + 1 with q = 3 mod 4, the second for 2 (q + 1) with q = 1 mod 4, q a prime or its square. kNone when
/// neither does.
[[nodiscard]] RotationCore paley_construction(std::int64_t order);

/// The matrix [order, order] of a core: +-1 for Paley's, orthonormal to float64 rounding for `kOrthonormal`.
[[nodiscard]] std::vector<double> core_matrix(RotationCore core, std::int64_t order, std::uint64_t seed);

}  // namespace lowbit
