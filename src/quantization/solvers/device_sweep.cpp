#include "quantization/solvers/device_sweep.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/solvers/column_grid.h"
#include "quantization/solvers/sweep_parts.h"
#include "tensor/column_kernel.h"

namespace lowbit {
namespace {

// Below this width the columns behind are updated after each column, else after each half.
constexpr std::int64_t kLeaf = 32;
// Columns whose errors are squared at a time.
constexpr std::int64_t kSlice = 256;

at::Tensor squares(const at::Tensor& numbers) { return numbers.to(at::kDouble).square_(); }
at::Tensor square_sum(const at::Tensor& numbers) { return squares(numbers).sum(); }

// Matrices are transposed: a column of the weight lies in a row.
class DeviceSweep {
 public:
  DeviceSweep(const SweepRequest& request, SweepResult& result)
      : request_(request),
        result_(result),
        plan_(*request.plan),
        grid_(request.grid, request.device),
        columns_(request.weight.size(1)) {
    weights_ = there(request.weight).t().clone(at::MemoryFormat::Contiguous);
    upper_ = there(request.upper).contiguous();
    diagonal_ = upper_.diagonal();
    scales_ = there(result.scales).t().contiguous();
    zeros_ = there(result.zeros).t().contiguous();
    codes_ = weights_.new_empty(weights_.sizes(), weights_.options().dtype(at::kByte));
    if (kernel_takes(request)) {
      kernel_.emplace(scales_, zeros_, request.grid.bits, request.grid.kind == GridKind::kOffset);
      groups_ = tensor_of(std::span<const std::int32_t>(plan_.group)).to(request.device);
    }
    if (!request.carried.defined()) return;
    carry_ = there(request.carried).contiguous();
    carried_ = weights_.new_empty(weights_.sizes());
    if (request.carry_rounded) rounded_ = weights_.new_empty(weights_.sizes());
  }

  void run() {
    for (std::int64_t begin = 0; begin < columns_;) {
      if (request_.cancellation != nullptr) request_.cancellation->check();
      const std::int64_t end = chunk_end(request_, begin);
      if (request_.source != GroupSource::kGiven) fit_groups(begin, end);
      solve_chunk(begin, end);
      if (rounded_.defined()) carried_.narrow(0, begin, end - begin).copy_(rounded_.narrow(0, begin, end - begin));
      spread(begin, end, columns_);
      begin = end;
    }
    result_.codes.copy_(codes_.t().contiguous());
    result_.loss.copy_(squared_errors());
  }

 private:
  [[nodiscard]] at::Tensor there(const at::Tensor& tensor) const {
    return to_place(tensor, DType::kFloat32, request_.device);
  }

  // The parameters of the groups that start in the columns [begin, end), before which every update has arrived.
  void fit_groups(std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin; first < end; ++first) {
      if (!starts_group(plan_, first)) continue;
      const std::int32_t group = plan_.group[static_cast<std::size_t>(first)];
      const std::int64_t last = group_end(plan_, first, columns_);
      const at::Tensor columns = weights_.narrow(0, first, last - first);
      const at::Tensor part =
          request_.fits_extremes ? stack_tensors({columns.amin(0), columns.amax(0)}, 1) : columns.t().contiguous();
      const SweepPlace place{0, part.size(0), first, last, group};
      const GroupParameters found = request_.fit(part.cpu(), place);
      put_parameters(found, place, result_);
      scales_.select(0, group).copy_(found.scales);
      if (found.zeros.defined()) zeros_.select(0, group).copy_(found.zeros);
    }
  }

  void solve_chunk(std::int64_t begin, std::int64_t end) {
    if (!kernel_) return solve(begin, end);
    begin == 0 ? solve_first_chunk(end) : solve_by_kernel(begin, end);
  }

  // The first chunk both ways: a kernel that this GPU gets wrong would pass for a poor method.
  void solve_first_chunk(std::int64_t end) {
    const at::Tensor weights = weights_.narrow(0, 0, end);
    const at::Tensor before = weights.clone();
    solve(0, end);
    const at::Tensor expected = square_sum(weights);
    weights.copy_(before);
    solve_by_kernel(0, end);
    const at::Tensor whole = square_sum(before.div_(diagonal_.narrow(0, 0, end).unsqueeze(1)));
    const at::Tensor losses = stack_tensors({expected, square_sum(weights), whole}, 0).cpu();
    const auto loss = values_of<double>(losses);
    check_kernel(loss[0], loss[1], loss[2]);
  }

  void solve_by_kernel(std::int64_t begin, std::int64_t end) {
    const std::int64_t most = ColumnKernel::most_columns(carry_.defined());
    for (std::int64_t first = begin; first < end; first += most) {
      const std::int64_t count = std::min(most, end - first);
      const auto columns = [&](const at::Tensor& of) { return of.defined() ? of.narrow(0, first, count) : of; };
      const auto square = [&](const at::Tensor& of) { return of.defined() ? columns(of).narrow(1, first, count) : of; };
      kernel_->solve({columns(weights_), square(upper_), columns(groups_), columns(codes_), square(carry_),
                      columns(carried_), columns(rounded_)});
      spread(first, first + count, end);
    }
  }

  void solve(std::int64_t begin, std::int64_t end) {
    solve_by_halves(
        begin, end, kLeaf, [&](std::int64_t first, std::int64_t last) { solve_leaf(first, last); },
        [&](std::int64_t first, std::int64_t middle, std::int64_t last) { spread(first, middle, last); });
    codes_.narrow(0, begin, end - begin).copy_(stack_tensors(chunk_codes_, 0));
    chunk_codes_.clear();
  }

  void solve_leaf(std::int64_t begin, std::int64_t end) {
    for (std::int64_t column = begin; column < end; ++column) {
      round_column(column);
      spread(column, column + 1, end);
    }
  }

  // Leaves in the column's place the error that the columns behind it are to make good.
  void round_column(std::int64_t column) {
    const at::Tensor weights = weights_.select(0, column);
    const std::int32_t group = plan_.group[static_cast<std::size_t>(column)];
    DeviceColumn rounded{weights, scales_.select(0, group), zeros_.select(0, group), {}, {}};
    if (request_.round) {
      request_.round_on_device(column, rounded);
    } else {
      rounded.codes = grid_.encode(weights, rounded.scales, rounded.zeros);
      rounded.values = grid_.decode(rounded.codes, rounded.scales, rounded.zeros);
    }
    chunk_codes_.push_back(rounded.codes);
    if (carried_.defined()) carried_.select(0, column).copy_(weights);
    if (rounded_.defined()) rounded_.select(0, column).copy_(rounded.values);
    weights.sub_(rounded.values).div_(diagonal_.select(0, column));
  }

  // Takes what columns [begin, end) cost off the columns [end, limit).
  void spread(std::int64_t begin, std::int64_t end, std::int64_t limit) {
    if (end == limit) return;
    const std::int64_t count = end - begin;
    const auto factors = [&](const at::Tensor& matrix) {
      return matrix.narrow(0, begin, count).narrow(1, end, limit - end).t();
    };
    at::Tensor behind = weights_.narrow(0, end, limit - end);
    behind.addmm_(factors(upper_), weights_.narrow(0, begin, count), 1, -1);
    if (carry_.defined()) behind.addmm_(factors(carry_), carried_.narrow(0, begin, count));
  }

  // Of each row, float64.
  [[nodiscard]] at::Tensor squared_errors() const {
    at::Tensor sum;
    for (std::int64_t first = 0; first < columns_; first += kSlice) {
      const std::int64_t count = std::min(kSlice, columns_ - first);
      const at::Tensor part = squares(weights_.narrow(0, first, count)).sum(0);
      sum = sum.defined() ? sum.add_(part) : part;
    }
    return sum;
  }

  const SweepRequest& request_;
  SweepResult& result_;
  const ColumnPlan& plan_;
  ColumnGrid grid_;
  std::int64_t columns_;
  at::Tensor weights_;                   // float32 [in, out]: of columns that are rounded the errors (w - q) / U_jj
  at::Tensor upper_;                     // float32 [in, in]
  at::Tensor diagonal_;                  // float32 [in], of it
  at::Tensor scales_;                    // float32 [groups, out]
  at::Tensor zeros_;                     // likewise
  at::Tensor codes_;                     // uint8 [in, out]
  std::vector<at::Tensor> chunk_codes_;  // of the columns of one chunk
  std::optional<ColumnKernel> kernel_;   // what solves chunks, where it takes them
  at::Tensor groups_;                    // int32 [in], for it
  at::Tensor carry_;                     // float32 [in, in], or undefined
  at::Tensor carried_;                   // float32 [in, out]: the columns that `carry_` multiplies
  at::Tensor rounded_;                   // float32 [in, out]: what they become, where that is carried across blocks
};

}  // namespace

void check_kernel(double expected, double loss, double whole) {
  // Rounding moves weights half way between two codes, whose squared errors are alike, and is all that is left where
  // weights lie on the grid.
  constexpr double kTolerance = 0.01;
  constexpr double kRounding = 1e-9;
  if (std::abs(loss - expected) <= kTolerance * expected + kRounding * whole) return;
  fail(ErrorCode::kDevice,
       "the GPU's kernel for columns leaves a squared error of {:.6g} in the first ones, and LibTorch's operations "
       "{:.6g}; quantize on the CPU (device: cpu), and report this GPU",
       loss, expected);
}

bool kernel_takes(const SweepRequest& request) {
  return request.allow_kernel && !request.round && request.grid.kind != GridKind::kCodebook &&
         ColumnKernel::serves(request.device);
}

void sweep_on_device(const SweepRequest& request, SweepResult& result) {
  LOWBIT_ASSERT(static_cast<bool>(request.round) == static_cast<bool>(request.round_on_device));
  const NoGradScope no_grad;
  DeviceSweep(request, result).run();
}

}  // namespace lowbit
