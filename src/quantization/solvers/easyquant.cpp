#include "quantization/solvers/easyquant.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "formats/grid_fit.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/outliers.h"
#include "quantization/solvers/rounding.h"
#include "quantization/solvers/rounding_sums.h"

namespace lowbit {
namespace {

// 1 where a weight lies `sigma` standard deviations or more from the mean.
at::Tensor outlier_mask(const at::Tensor& weight, double sigma) {
  const auto values = values_of<float>(weight);
  double sum = 0;
  for (const float value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  double squares = 0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(values.size()));
  at::Tensor mask = make_zeros(shape_of(weight), DType::kUInt8);
  const auto marked = mutable_values_of<std::uint8_t>(mask);
  for (std::size_t i = 0; i < values.size(); ++i) {
    marked[i] = deviation > 0 && std::abs(values[i] - mean) >= sigma * deviation ? 1 : 0;
  }
  return mask;
}

RoundingSums measure(const GroupGrid& grid, const GridSpec& spec, std::span<const float> values, const GroupFit& fit) {
  if (spec.kind != GridKind::kCodebook) {
    const auto top = static_cast<float>((1 << spec.bits) - 1);
    return rounding_sums(values, fit.scale, fit.zero, top, spec.kind == GridKind::kOffset);
  }
  RoundingSums sums;
  std::uint8_t code = 0;
  for (const float value : values) {
    grid.encode({&value, 1}, fit, &code);
    const double steps = grid.decode(code, {1.0F, fit.zero});
    const double error = static_cast<double>(grid.decode(code, fit)) - value;
    sums.squared_error += error * error;
    sums.product += value * steps;
    sums.squares += steps * steps;
  }
  return sums;
}

// Codes and scale in turn, until the error stops falling.
GroupFit least_squares(const GroupGrid& grid, const GridSpec& spec, std::span<const float> values, int steps) {
  GroupFit best = grid.fit_min_max(values);
  RoundingSums found = measure(grid, spec, values, best);
  for (int step = 0; step < steps && found.squares > 0 && found.product > 0; ++step) {
    GroupFit next = best;
    next.scale = round_scale(static_cast<float>(found.product / found.squares), spec.scale_type, spec.tensor_scale);
    const RoundingSums measured = measure(grid, spec, values, next);
    if (!(measured.squared_error < found.squared_error)) break;
    best = next;
    found = measured;
  }
  return best;
}

// One row's groups; `weights` with 0 in place of the outliers, whose codes do not count.
void quantize_row(const GridSpec& spec, int steps, std::span<const float> weights, std::span<const std::uint8_t> mask,
                  std::uint8_t* codes, float* scales, float* zeros) {
  const GroupGrid grid(spec);
  const std::size_t width = spec.group > 0 ? static_cast<std::size_t>(spec.group) : weights.size();
  std::vector<float> normal;
  for (std::size_t first = 0, group = 0; first < weights.size(); first += width, ++group) {
    const std::size_t count = std::min(width, weights.size() - first);
    normal.clear();
    for (std::size_t i = first; i < first + count; ++i) {
      if (mask[i] == 0) normal.push_back(weights[i]);
    }
    const GroupFit fit = least_squares(grid, spec, normal, steps);
    grid.encode(weights.subspan(first, count), fit, codes + first);
    scales[group] = fit.scale;
    zeros[group] = fit.zero;
  }
}

}  // namespace

EasyQuantOptions::EasyQuantOptions() {
  grid.group = -1;
  grid.symmetry = Symmetry::kSymRestricted;
}

void EasyQuantOptions::visit(FieldVisitor& v) {
  grid.visit(v);
  v.field("sigma", sigma, "standard deviations from the mean beyond which a weight stays float16", {1.0, 100.0});
  v.field("steps", steps, "most times that codes and scale are fitted in turn; 0: round to nearest", {0, 1000});
}

void EasyQuantOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  grid.validate(problems, mark);
  if (grid.nested_bits > 0) {
    problems.add(
        mark, "'nested_bits' binds the scales of many rows together, and easyquant fits each by itself; leave it out");
  }
  if (grid.scale == ScaleType::kUint8) {
    problems.add(mark,
                 "'scale: uint8' binds the scales of a row together, and easyquant fits each by itself; leave it "
                 "out");
  }
}

QuantizedWeight EasyQuantSolver::quantize(const at::Tensor& weight) const {
  const at::Tensor matrix = to_dtype(weight.detach(), DType::kFloat32).contiguous();
  const at::Tensor mask = outlier_mask(matrix, options_.sigma);
  const at::Tensor normal = matrix.masked_fill(mask.ne(0), 0.0).contiguous();
  QuantizedWeight result;
  result.grid = bind_grid(grid(), normal);
  // One scale for the whole weight: as if it were a single row.
  const std::int64_t rows = result.grid.group == 0 ? 1 : matrix.size(0);
  const auto columns = static_cast<std::size_t>(matrix.numel() / rows);
  const std::int64_t groups = result.grid.groups(matrix.size(1));
  result.codes = make_empty(shape_of(matrix), DType::kUInt8);
  at::Tensor scales = make_empty({rows, groups}, DType::kFloat32);
  at::Tensor zeros = make_empty({rows, groups}, DType::kFloat32);
  const auto values = values_of<float>(normal);
  const auto marked = values_of<std::uint8_t>(mask);
  std::uint8_t* codes = mutable_values_of<std::uint8_t>(result.codes).data();
  float* scale = mutable_values_of<float>(scales).data();
  float* zero = mutable_values_of<float>(zeros).data();
  parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::size_t offset = static_cast<std::size_t>(row) * columns;
      quantize_row(result.grid, options_.steps, values.subspan(offset, columns), marked.subspan(offset, columns),
                   codes + offset, scale + row * groups, zero + row * groups);
    }
  });
  result.scales = scales.expand({matrix.size(0), groups}).contiguous();
  if (result.grid.kind != GridKind::kCodebook) result.zeros = zeros.expand({matrix.size(0), groups}).contiguous();
  result.outliers = gather_outliers(matrix, mask);
  return result;
}

QuantizedWeight EasyQuantSolver::solve(const LinearProblem& problem) const {
  check_weight(problem, grid());
  return quantize(problem.weight);
}

at::Tensor EasyQuantSolver::approximate(const at::Tensor& weight) const { return quantize(weight).dequantize(); }

}  // namespace lowbit
