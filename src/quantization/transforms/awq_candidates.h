#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace lowbit {

/// First column and number of columns of each group of a row, the last one perhaps shorter; `group` as in GridSpec.
[[nodiscard]] std::vector<std::pair<std::int64_t, std::int64_t>> column_ranges(std::int64_t columns,
                                                                               std::int64_t group);

/// |w| over the largest |w| of its row's group, summed over the rows: [in] float64.
[[nodiscard]] at::Tensor normalised_magnitudes(const at::Tensor& weight, std::int64_t group);

/// What AWQ's search chooses among, [in] float32 each: the scale 1 first (plain rounding), then for r = k / steps,
/// k = 0 .. steps - 1, x^r, or x^r / w^(1 - r) with `weights` defined, normalised to sqrt(max min) = 1. `inputs` are
/// the mean magnitudes of the channels, `weights` those of the weights' columns (`normalised_magnitudes` over their
/// rows' number). Channels without activity keep scale 1 and do not take part in the normalisation.
[[nodiscard]] std::vector<at::Tensor> awq_candidates(const at::Tensor& inputs, const at::Tensor& weights, int steps);

}  // namespace lowbit
