#include "quantization/transforms/awq_candidates.h"

#include <algorithm>
#include <cmath>

#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

// As in the authors' program, and in AutoAWQ's for the columns' share.
constexpr double kLeastScale = 1e-4;
constexpr double kAddedToGroupMaximum = 1e-6;
constexpr double kAddedToWeightTerm = 1e-4;

at::Tensor candidate(const at::Tensor& inputs, const at::Tensor& weights, const at::Tensor& dead, double ratio) {
  at::Tensor scale = inputs.pow(ratio);
  if (weights.defined()) scale = scale.div(weights.pow(1 - ratio).add(kAddedToWeightTerm));
  scale = scale.clamp_min(kLeastScale);
  const at::Tensor alive = scale.masked_select(dead.logical_not());
  if (alive.numel() > 0) {
    scale = scale.div(std::sqrt(alive.max().item<double>() * alive.min().item<double>()));
  }
  return to_dtype(scale.masked_fill(dead, 1.0), DType::kFloat32);
}

}  // namespace

std::vector<std::pair<std::int64_t, std::int64_t>> column_ranges(std::int64_t columns, std::int64_t group) {
  const std::int64_t width = group > 0 ? std::min(group, columns) : columns;
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
  for (std::int64_t begin = 0; begin < columns; begin += width) {
    ranges.emplace_back(begin, std::min(width, columns - begin));
  }
  return ranges;
}

at::Tensor normalised_magnitudes(const at::Tensor& weight, std::int64_t group) {
  std::vector<at::Tensor> parts;
  for (const auto& [begin, count] : column_ranges(weight.size(1), group)) {
    const at::Tensor magnitude = weight.narrow(1, begin, count).abs();
    const at::Tensor share = magnitude.div(magnitude.amax({1}, true).add(kAddedToGroupMaximum));
    // Column after column, so that the number of threads does not change the sum.
    parts.push_back(to_dtype(share.t().contiguous(), DType::kFloat64).sum(1));
  }
  return concatenate(parts, 0);
}

std::vector<at::Tensor> awq_candidates(const at::Tensor& inputs, const at::Tensor& weights, int steps) {
  const at::Tensor wide = to_dtype(inputs, DType::kFloat64);
  const at::Tensor dead = wide.eq(0);
  std::vector<at::Tensor> result{make_full(shape_of(inputs), 1.0, DType::kFloat32)};
  for (int k = 0; k < steps; ++k) {
    at::Tensor scale = candidate(wide, weights, dead, static_cast<double>(k) / steps);
    result.push_back(scale.masked_fill(scale.isfinite().logical_not(), 1.0));
  }
  return result;
}

}  // namespace lowbit
