#include "quantization/solvers/rounding.h"

#include <algorithm>

#include "formats/grid_fit.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

// Groups along rows whose weights are all zero.
std::int64_t zero_groups(const at::Tensor& weight, std::int64_t group) {
  const at::Tensor matrix = weight.contiguous();
  const auto columns = static_cast<std::size_t>(matrix.size(1));
  const std::size_t width = group > 0 ? std::min(static_cast<std::size_t>(group), columns) : columns;
  const auto values = values_of<float>(matrix);
  std::int64_t count = 0;
  for (std::size_t row = 0; row < values.size(); row += columns) {
    for (std::size_t first = 0; first < columns; first += width) {
      const auto part = values.subspan(row + first, std::min(width, columns - first));
      if (std::all_of(part.begin(), part.end(), [](float value) { return value == 0.0F; })) ++count;
    }
  }
  return count;
}

}  // namespace

void visit_clip(FieldVisitor& v, Clip& clip) {
  v.choice("clip", clip, {"none", "mse"},
           "range that a group's scale covers: none: all weights; mse: shrunk where that lessens |Q(w) - w|^2.4");
}

GroupParameters fit_group(const at::Tensor& weight, const GridSpec& grid, Clip clip,
                          std::span<const float> row_scales) {
  const ClipSearch search;
  return fit_part(weight, grid, clip == Clip::kMse ? &search : nullptr, row_scales);
}

bool fits_extremes(const GridSpec& grid, Clip clip) {
  return clip == Clip::kNone && grid.scale_rule != ScaleRule::kAbsmean;
}

QuantizedWeight round_to_nearest(const at::Tensor& weight, const GridSpec& grid, Clip clip) {
  const ClipSearch search;
  return quantize_to_nearest(weight, grid, clip == Clip::kMse ? &search : nullptr);
}

void check_weight(const LinearProblem& problem, const GridSpec& grid) {
  if (problem.weight.dim() != 2 || problem.weight.numel() == 0) {
    fail(ErrorCode::kData, "layer '{}': a weight of shape {} is not a matrix", problem.layer,
         shape_text(shape_of(problem.weight)));
  }
  if (!all_finite(problem.weight)) {
    fail(ErrorCode::kData, "layer '{}': the weight holds NaN or Inf; nothing can be rounded to it", problem.layer);
  }
  const std::int64_t zeros = zero_groups(to_dtype(problem.weight, DType::kFloat32), grid.group);
  if (zeros > 0 && problem.report) problem.report("all-zero groups", static_cast<double>(zeros));
}

}  // namespace lowbit
