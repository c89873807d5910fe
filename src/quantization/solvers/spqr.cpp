#include "quantization/solvers/spqr.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "formats/grid_fit.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/column_sweep.h"
#include "quantization/solvers/device_outliers.h"
#include "quantization/solvers/hessian.h"
#include "quantization/solvers/leave_one_out.h"
#include "quantization/solvers/outliers.h"
#include "quantization/solvers/rounding.h"
#include "quantization/solvers/shared_factor.h"

namespace lowbit {
namespace {

constexpr std::int64_t kRowGrain = 64;

// Unbiased variance of each column over the rows, summed row after row. A single row has none; its square takes the
// place.
std::vector<double> column_variances(const at::Tensor& weight) {
  const auto columns = static_cast<std::size_t>(weight.size(1));
  const auto values = values_of<float>(weight);
  const std::size_t rows = values.size() / columns;
  std::vector<double> means(columns), squares(columns);
  for (std::size_t i = 0; rows > 1 && i < values.size(); ++i) means[i % columns] += values[i];
  for (double& mean : means) mean /= static_cast<double>(rows);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double deviation = values[i] - means[i % columns];
    squares[i % columns] += deviation * deviation;
  }
  for (double& square : squares) square /= static_cast<double>(std::max<std::size_t>(rows, 2) - 1);
  return squares;
}

// The cost above which a weight stays in float16: a share of the mean over columns of var(W_j) / U_jj^2.
double cost_limit(const at::Tensor& weight, std::span<const float> diagonal, double share) {
  if (share == 0.0) return std::numeric_limits<double>::infinity();
  const std::vector<double> variances = column_variances(weight);
  double sum = 0;
  for (std::size_t j = 0; j < diagonal.size(); ++j) {
    sum += variances[j] / (static_cast<double>(diagonal[j]) * static_cast<double>(diagonal[j]));
  }
  return share * sum / static_cast<double>(diagonal.size());
}

// The sweep's fit and rounding. Columns and marks are in the order of the plan.
class OutlierSweep {
 public:
  OutlierSweep(const at::Tensor& weight, std::vector<float> diagonal, const GridSpec& grid, double share)
      : grid_(grid),
        group_grid_(grid),
        unnested_(grid),
        diagonal_(std::move(diagonal)),
        limit_(cost_limit(weight, diagonal_, share)),
        columns_(weight.size(1)),
        mask_(make_zeros(shape_of(weight), DType::kUInt8)),
        kept_(make_zeros(shape_of(weight), DType::kFloat32)),
        marked_(mutable_values_of<std::uint8_t>(mask_)),
        values_(mutable_values_of<float>(kept_)) {
    unnested_.nested_bits = 0;
    unnested_.scale_type = ScaleType::kFloat32;
  }

  GroupParameters fit(const at::Tensor& part, const SweepPlace& place) const {
    if (limit_ == std::numeric_limits<double>::infinity()) return fit_min_max(part, grid_);
    at::Tensor usual = part.clone();
    const auto numbers = mutable_values_of<float>(usual);
    const auto width = static_cast<std::size_t>(place.end - place.begin);
    const auto diagonal = std::span(diagonal_).subspan(static_cast<std::size_t>(place.begin), width);
    parallel_for(place.rows, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
      for (auto row = static_cast<std::size_t>(begin); row < static_cast<std::size_t>(end); ++row) {
        replace_likely_outliers(numbers.subspan(row * width, width), diagonal, unnested_, limit_);
      }
    });
    return fit_min_max(usual, grid_);
  }

  void round(const SweepPlace& place, const SweepColumn& column) {
    const double diagonal = diagonal_[static_cast<std::size_t>(place.begin)];
    const float nothing = 0.0F;
    for (std::size_t row = 0; row < column.weights.size(); ++row) {
      const GroupFit fit{column.scales[row], column.zeros[row]};
      const float weight = column.weights[row];
      group_grid_.encode({&weight, 1}, fit, &column.codes[row]);
      column.values[row] = group_grid_.decode(column.codes[row], fit);
      const double error = (static_cast<double>(weight) - column.values[row]) / diagonal;
      if (!(error * error > limit_)) continue;
      group_grid_.encode({&nothing, 1}, fit, &column.codes[row]);
      const auto at = (static_cast<std::size_t>(place.first_row) + row) * static_cast<std::size_t>(columns_) +
                      static_cast<std::size_t>(place.begin);
      marked_[at] = 1;
      column.values[row] = values_[at] = round_scale(weight, ScaleType::kFloat16);
    }
  }

  /// As `round`, on a device.
  void round_on_device(std::int64_t position, DeviceColumn& column) {
    if (!there_) {
      there_.emplace(grid_, tensor_of(std::span<const float>(diagonal_)), limit_, mask_.size(0),
                     column.weights.device());
    }
    there_->round(position, column);
  }

  /// What the sweep has kept, columns back in their places.
  [[nodiscard]] std::optional<SparseOutliers> outliers(const ColumnPlan& plan) const {
    return gather_outliers(columns_restored(there_ ? there_->kept() : kept_, plan),
                           columns_restored(there_ ? there_->mask() : mask_, plan));
  }

 private:
  GridSpec grid_;
  GroupGrid group_grid_;
  GridSpec unnested_;
  std::vector<float> diagonal_;
  double limit_;
  std::int64_t columns_;
  at::Tensor mask_;
  at::Tensor kept_;
  std::span<std::uint8_t> marked_;
  std::span<float> values_;
  std::optional<DeviceOutliers> there_;  // in place of mask and values
};

std::vector<float> diagonal_of(const at::Tensor& upper) {
  const at::Tensor diagonal = upper.diagonal().cpu().contiguous();
  const auto values = values_of<float>(diagonal);
  return {values.begin(), values.end()};
}

}  // namespace

void SpqrOptions::visit(FieldVisitor& v) {
  v.field("bits", bits, "width of a code in bits", {2, 8});
  v.field("group", group, "input columns that share a scale; -1: one a row", {-1, 1 << 24});
  v.choice("scale", scale, {"float16", "bfloat16", "float32"},
           "type of scales and zeros, of the second level if nested");
  v.field("nested_bits", nested_bits, "bits of scales and zeros, which are quantized again; 0: they are not", {0, 8});
  v.field("nested_run", nested_run, "rows whose scales are quantized together", {1, 1 << 20});
  v.field("outlier_threshold", outlier_threshold,
          "cost of rounding, as a share of the mean cost of losing a column's spread, above which a weight stays "
          "float16; 0: none does",
          {0.0, 1e9});
  v.field("act_order", act_order, "solve columns in the order of falling Hessian diagonal");
  v.field("damping", damping, "share of the mean Hessian diagonal added to it", {0.0, 100.0});
}

void SpqrOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (group == 0) problems.add(mark, "spqr has no scale of a whole tensor; give a positive 'group' or -1");
  if (nested_bits == 1) problems.add(mark, "'nested_bits' is 1; expected 0 or 2 to 8");
}

GridSpec SpqrOptions::spec() const {
  GridOptions grid;
  grid.format = NumberFormat::kOffset;
  grid.bits = bits;
  grid.group = group;
  grid.scale = scale;
  grid.nested_bits = nested_bits;
  grid.nested_run = nested_run;
  return grid.spec();
}

StatisticsNeeds SpqrSolver::needs() const {
  StatisticsNeeds needs;
  needs.hessian = true;
  return needs;
}

QuantizedWeight SpqrSolver::solve(const LinearProblem& problem) const {
  check_weight(problem, grid());
  check_statistics(problem, "spqr");
  const CleanDiagonal hessian = clean_diagonal(problem, false);
  const at::Tensor weight = to_dtype(problem.weight, DType::kFloat32).contiguous();
  const at::Tensor diagonal = hessian.values.masked_fill(hessian.dead, 0.0);
  const ColumnPlan plan = plan_columns(diagonal, options_.group,
                                       options_.act_order ? ColumnOrder::kByDiagonal : ColumnOrder::kNatural, false);
  SweepRequest request;
  request.plan = &plan;
  request.grid = grid();
  request.cancellation = problem.cancellation;
  request.device = problem.device;
  request.weight = columns_in_order(weight, plan);
  request.upper = shared_inverse_factor(problem, hessian, plan, options_.damping);
  OutlierSweep sweep(request.weight, diagonal_of(request.upper), request.grid, options_.outlier_threshold);
  request.fit = [&](const at::Tensor& part, const SweepPlace& place) { return sweep.fit(part, place); };
  request.round = [&](const SweepPlace& place, const SweepColumn& column) { sweep.round(place, column); };
  request.round_on_device = [&](std::int64_t position, DeviceColumn& column) {
    sweep.round_on_device(position, column);
  };

  QuantizedWeight result = as_weight(sweep_columns(request), request);
  result.outliers = sweep.outliers(plan);
  return result;
}

at::Tensor SpqrSolver::approximate(const at::Tensor& weight) const {
  return quantize_to_nearest(weight, grid()).dequantize();
}

}  // namespace lowbit
