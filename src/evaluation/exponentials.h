#pragma once

#include <cstddef>

namespace lowbit {

/// result[i] = exp(logits[i] - shift) in float64, for differences of at most 0: within one unit in the last place where
/// exp is at least 1e-307, 0 below. NaN stays NaN. The same bits on every processor and however the row is cut.
void exponentials(const float* logits, std::size_t count, double shift, double* result);

}  // namespace lowbit
