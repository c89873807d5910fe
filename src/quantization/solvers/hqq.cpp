#include "quantization/solvers/hqq.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "formats/grid_fit.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/half_quadratic.h"
#include "quantization/solvers/rounding.h"

namespace lowbit {
namespace {

float stored_zero(double zero, float top, ScaleType type) {
  const float bounded = std::clamp(static_cast<float>(zero), -2.0F * top, 2.0F * top);
  return bounded == 0.0F ? 0.0F : round_scale(bounded, type);
}

// The groups of a matrix, row after row, and the fit of each.
struct Groups {
  std::span<const float> values;
  std::size_t columns = 0;
  std::size_t width = 0;
  std::size_t per_row = 0;
  std::vector<GroupFit> fits;

  [[nodiscard]] std::span<const float> part(std::size_t index) const {
    const std::size_t first = index % per_row * width;
    return values.subspan(index / per_row * columns + first, std::min(width, columns - first));
  }
};

template <typename Body>
void for_each_group(Groups& groups, const Body& body) {
  const auto grain = static_cast<std::int64_t>(std::max<std::size_t>(1, 16384 / groups.width));
  parallel_for(static_cast<std::int64_t>(groups.fits.size()), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t index = begin; index < end; ++index) body(static_cast<std::size_t>(index));
  });
}

// Every group by itself: the best zero it has seen.
GroupFit best_zero(std::span<const float> values, GroupFit fit, float top, const HqqOptions& options) {
  double least = std::numeric_limits<double>::infinity();
  double beta = options.beta;
  GroupFit best = fit;
  for (int i = 0; i <= options.iterations; ++i) {
    const HalfQuadraticStep step = half_quadratic_step(values, fit.scale, fit.zero, top,
                                                       static_cast<float>(options.norm), static_cast<float>(beta));
    if (!(step.error < least)) break;
    least = step.error;
    best = fit;
    fit.zero = stored_zero(step.zero, top, options.scale);
    beta *= options.kappa;
  }
  return best;
}

// All groups in step, until the mean error of the matrix stops falling; the last zeros stay.
void follow_reference(Groups& groups, float top, const HqqOptions& options) {
  std::vector<double> errors(groups.fits.size());
  std::vector<float> zeros(groups.fits.size());
  for (std::size_t i = 0; i < zeros.size(); ++i) {
    zeros[i] = options.bits == 4 ? std::nearbyint(groups.fits[i].zero) : groups.fits[i].zero;
  }
  double least = std::numeric_limits<double>::infinity();
  double beta = options.beta;
  for (int i = 0; i < options.iterations; ++i) {
    for_each_group(groups, [&](std::size_t index) {
      const HalfQuadraticStep step =
          half_quadratic_step(groups.part(index), groups.fits[index].scale, zeros[index], top,
                              static_cast<float>(options.norm), static_cast<float>(beta));
      errors[index] = step.error;
      zeros[index] = static_cast<float>(step.zero);
    });
    double error = 0;
    for (const double part : errors) error += part;
    if (!(error < least)) break;
    least = error;
    beta *= options.kappa;
  }
  for (std::size_t i = 0; i < zeros.size(); ++i) groups.fits[i].zero = stored_zero(zeros[i], top, options.scale);
}

}  // namespace

void HqqOptions::visit(FieldVisitor& v) {
  v.field("bits", bits, "width of a code in bits", {2, 8});
  v.field("group", group, "input columns that share a scale; -1: one a row, 0: one a tensor", {-1, 1 << 24});
  v.choice("scale", scale, {"float16", "bfloat16", "float32"}, "type that scales and zeros are rounded to");
  v.field("norm", norm, "power of the error that is minimised", {0.1, 1.0});
  v.field("beta", beta, "weight of the splitting's quadratic term at first", {1e-3, 1e6});
  v.field("kappa", kappa, "what that weight is multiplied by in each step", {1.0, 10.0});
  v.field("iterations", iterations, "most steps; 0: round to nearest on the range of each group", {0, 1000});
  v.field("ref_compat", ref_compat,
          "stop for the whole matrix at once and keep the last zeros, as the authors' program");
}

GridSpec HqqOptions::spec() const {
  GridOptions grid;
  grid.format = NumberFormat::kOffset;
  grid.bits = bits;
  grid.group = group;
  grid.scale = scale;
  return grid.spec();
}

QuantizedWeight HqqSolver::quantize(const at::Tensor& weight) const {
  const GridSpec spec = grid();
  const GroupGrid grid(spec);
  const float top = static_cast<float>((1 << spec.bits) - 1);
  const at::Tensor matrix = to_dtype(weight.detach(), DType::kFloat32).contiguous();
  const std::int64_t rows = matrix.size(0);
  const std::int64_t per_row = spec.groups(matrix.size(1));
  Groups groups;
  groups.values = values_of<float>(matrix);
  // One zero for the whole weight: as if it were a single row.
  groups.columns = static_cast<std::size_t>(spec.group == 0 ? matrix.numel() : matrix.size(1));
  groups.width = spec.group > 0 ? static_cast<std::size_t>(spec.group) : groups.columns;
  groups.per_row = static_cast<std::size_t>(per_row);
  groups.fits.resize(groups.values.size() / groups.columns * groups.per_row);
  for_each_group(groups, [&](std::size_t index) {
    GroupFit& fit = groups.fits[index];
    fit = grid.fit_min_max(groups.part(index));
    if (!options_.ref_compat) fit = best_zero(groups.part(index), fit, top, options_);
  });
  if (options_.ref_compat && options_.iterations > 0) follow_reference(groups, top, options_);

  QuantizedWeight result;
  result.grid = spec;
  result.codes = make_empty(shape_of(matrix), DType::kUInt8);
  std::uint8_t* codes = mutable_values_of<std::uint8_t>(result.codes).data();
  for_each_group(groups, [&](std::size_t index) {
    const auto part = groups.part(index);
    grid.encode(part, groups.fits[index], codes + (part.data() - groups.values.data()));
  });
  std::vector<float> scales, zeros;
  for (const GroupFit& fit : groups.fits) {
    scales.push_back(fit.scale);
    zeros.push_back(fit.zero);
  }
  const auto shaped = [&](const std::vector<float>& numbers) {
    const at::Tensor tensor = tensor_of(std::span<const float>(numbers)).view({-1, per_row});
    return tensor.expand({rows, per_row}).contiguous();
  };
  result.scales = shaped(scales);
  result.zeros = shaped(zeros);
  return result;
}

QuantizedWeight HqqSolver::solve(const LinearProblem& problem) const {
  check_weight(problem, grid());
  return quantize(problem.weight);
}

at::Tensor HqqSolver::approximate(const at::Tensor& weight) const { return quantize(weight).dequantize(); }

}  // namespace lowbit
