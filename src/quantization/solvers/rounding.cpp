#include "quantization/solvers/rounding.h"

#include <algorithm>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {

void visit_clip(FieldVisitor& v, Clip& clip) {
  v.choice("clip", clip, {"none", "mse"},
           "range that a group's scale covers: none: all weights; mse: shrunk where that lessens |Q(w) - w|^2.4");
}

GroupParameters fit_group(const at::Tensor& weight, const GridSpec& grid, Clip clip) {
  return clip == Clip::kMse ? fit_clipped(weight, grid, ClipSearch{}) : fit_min_max(weight, grid);
}

GroupParameters fit_groups(const at::Tensor& weight, const GridSpec& grid, Clip clip) {
  if (grid.group == 0) {
    const GroupParameters whole = fit_group(weight.reshape({1, -1}), grid, clip);
    const std::vector<std::int64_t> shape{weight.size(0), 1};
    return {whole.scales.reshape({1, 1}).expand(shape).contiguous(),
            whole.zeros.reshape({1, 1}).expand(shape).contiguous()};
  }
  const std::int64_t columns = weight.size(1);
  const std::int64_t width = grid.group > 0 ? grid.group : columns;
  std::vector<at::Tensor> scales;
  std::vector<at::Tensor> zeros;
  for (std::int64_t begin = 0; begin < columns; begin += width) {
    const at::Tensor part = weight.slice(1, begin, std::min(begin + width, columns)).contiguous();
    GroupParameters found = fit_group(part, grid, clip);
    scales.push_back(std::move(found.scales));
    zeros.push_back(std::move(found.zeros));
  }
  return {stack_tensors(scales, 1), stack_tensors(zeros, 1)};
}

QuantizedWeight round_to_nearest(const at::Tensor& weight, const GridSpec& grid, Clip clip) {
  const GroupParameters parameters = fit_groups(weight, grid, clip);
  const std::int64_t columns = weight.size(1);
  const std::int64_t width = grid.group > 0 ? grid.group : columns;
  std::vector<at::Tensor> codes;
  for (std::int64_t begin = 0, group = 0; begin < columns; begin += width, ++group) {
    const at::Tensor part = weight.slice(1, begin, std::min(begin + width, columns)).contiguous();
    const GroupParameters own{parameters.scales.select(1, group).contiguous(),
                              parameters.zeros.select(1, group).contiguous()};
    codes.push_back(encode_columns(part, own, grid));
  }
  QuantizedWeight result;
  result.grid = grid;
  result.codes = concatenate(codes, 1);
  result.scales = parameters.scales;
  result.zeros = parameters.zeros;
  return result;
}

void check_weight(const LinearProblem& problem) {
  if (problem.weight.dim() != 2 || problem.weight.numel() == 0) {
    fail(ErrorCode::kData, "layer '{}': a weight of shape {} is not a matrix", problem.layer,
         shape_text(shape_of(problem.weight)));
  }
  if (!all_finite(problem.weight)) {
    fail(ErrorCode::kData, "layer '{}': the weight holds NaN or Inf; nothing can be rounded to it", problem.layer);
  }
}

}  // namespace lowbit
