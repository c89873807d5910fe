#pragma once

#include <cstdint>

namespace lowbit {

/// out[i, j] = bias[j] + sum over k of x[i, k] * weight[j, k] in float32, as chains of fused multiply-adds in the order
/// of k (tensor/float_panels.h). All matrices are contiguous, `depth` is at least 1, and `bias` may be null.
struct FloatProduct {
  const float* x;       // [rows, depth]
  const float* weight;  // [columns, depth]
  const float* bias;    // [columns] or null
  float* out;           // [rows, columns]
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t depth;
};
void multiply(const FloatProduct& product);

}  // namespace lowbit
