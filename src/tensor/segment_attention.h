#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace lowbit {

/// Neighbouring rows of a packed sequence.
struct RowRange {
  std::int64_t begin = 0;
  std::int64_t length = 0;
};

/// Rows that see those they stand behind, and of their own each row those up to itself.
struct AttentionSegment {
  RowRange own;
  std::vector<RowRange> before;  ///< in the order of positions
};

/// Causal attention within the segments of a packed sequence, q [1, heads, rows, dim], k and v [1, kv_heads, rows, dim]:
/// for each segment the bits of `causal_attention` (lowbit/tensor/ops.h) on its rows alone. Rows of no segment are
/// undefined. Returns [1, heads, rows, dim].
[[nodiscard]] at::Tensor segment_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                           std::span<const AttentionSegment> segments, double scale,
                                           std::int64_t window, bool deterministic);

}  // namespace lowbit
