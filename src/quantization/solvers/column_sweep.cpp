#include "quantization/solvers/column_sweep.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/column_update.h"

namespace lowbit {
namespace {

// 32 rows by 1536 columns are 192 KiB: a block of rows stays in the second-level cache from first to last column.
constexpr std::int64_t kRowBlock = 32;
// Below this width columns are updated one by one.
constexpr std::int64_t kLeaf = 8;

// The pass over all columns of some rows. `weights` and `errors` are [rows, in].
class RowBlock {
 public:
  RowBlock(const SweepRequest& request, SweepResult& result, std::int64_t first_row, std::int64_t rows)
      : request_(request), plan_(*request.plan), first_row_(first_row), rows_(rows), columns_(request.weight.size(1)) {
    const auto offset = static_cast<std::size_t>(first_row * columns_);
    const auto count = static_cast<std::size_t>(rows * columns_);
    const auto source = values_of<float>(request.weight).subspan(offset, count);
    weights_.assign(source.begin(), source.end());
    errors_.resize(count);
    upper_ = values_of<float>(request.upper).data();
    codes_ = mutable_values_of<std::uint8_t>(result.codes).data() + offset;
    scales_ = mutable_values_of<float>(result.scales).data() + first_row * plan_.groups;
    zeros_ = mutable_values_of<float>(result.zeros).data() + first_row * plan_.groups;
    loss_ = mutable_values_of<double>(result.loss).data() + first_row;
    highest_ = static_cast<float>((1 << request.grid.bits) - 1);
  }

  void run() {
    for (std::int64_t begin = 0; begin < columns_;) {
      const std::int64_t end = chunk_end(begin);
      if (request_.source == GroupSource::kBlock) block_weights_ = weights_;
      solve(begin, end);
      spread(begin, end, columns_);
      begin = end;
    }
  }

 private:
  // Chunks end at block boundaries; with fresh parameters also where a group starts, so that at a group's start every
  // update of the columns before it has arrived in all of its columns.
  [[nodiscard]] std::int64_t chunk_end(std::int64_t begin) const {
    const std::int64_t limit = std::min(columns_, (begin / request_.block + 1) * request_.block);
    if (request_.source != GroupSource::kFresh) return limit;
    std::int64_t end = begin + 1;
    while (end < limit && !starts_group(end)) ++end;
    return end;
  }

  [[nodiscard]] std::int32_t group_at(std::int64_t position) const {
    return plan_.group[static_cast<std::size_t>(position)];
  }
  [[nodiscard]] bool starts_group(std::int64_t position) const {
    return position == 0 || group_at(position) != group_at(position - 1);
  }

  // Columns [begin, end), halved until few are left, so that most updates are products of matrices.
  void solve(std::int64_t begin, std::int64_t end) {
    if (end - begin > kLeaf) {
      const std::int64_t middle = begin + (end - begin) / 2;
      solve(begin, middle);
      spread(begin, middle, end);
      solve(middle, end);
      return;
    }
    for (std::int64_t column = begin; column < end; ++column) {
      if (request_.source != GroupSource::kGiven && starts_group(column)) fit_group(column);
      round_column(column);
      spread(column, column + 1, end);
    }
  }

  // Takes the errors of columns [begin, end) off the columns [end, limit).
  void spread(std::int64_t begin, std::int64_t end, std::int64_t limit) {
    const UpdateShape shape{rows_, limit - end, end - begin, columns_, columns_, columns_};
    subtract_products(weights_.data() + end, errors_.data() + begin, upper_ + begin * columns_ + end, shape);
  }

  void round_column(std::int64_t column) {
    const float diagonal = upper_[column * columns_ + column];
    const std::int32_t group = group_at(column);
    for (std::int64_t row = 0; row < rows_; ++row) {
      const std::int64_t at = row * columns_ + column;
      const float scale = scales_[row * plan_.groups + group];
      const float zero = zeros_[row * plan_.groups + group];
      const float weight = weights_[static_cast<std::size_t>(at)];
      const float code = std::clamp(std::nearbyint(weight / scale) + zero, 0.0F, highest_);
      const float error = (weight - scale * (code - zero)) / diagonal;
      codes_[at] = static_cast<std::uint8_t>(code);
      errors_[static_cast<std::size_t>(at)] = error;
      loss_[row] += static_cast<double>(error) * static_cast<double>(error);
    }
  }

  void fit_group(std::int64_t begin) {
    std::int64_t end = begin + 1;
    while (end < columns_ && !starts_group(end)) ++end;
    const std::vector<float>& source = request_.source == GroupSource::kBlock ? block_weights_ : weights_;
    at::Tensor part = make_empty({rows_, end - begin}, DType::kFloat32);
    float* target = mutable_values_of<float>(part).data();
    for (std::int64_t row = 0; row < rows_; ++row) {
      std::memcpy(target + row * (end - begin), source.data() + row * columns_ + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(float));
    }
    const GroupParameters found = request_.fit(part);
    const std::span<const float> scales = values_of<float>(found.scales);
    const std::span<const float> zeros = values_of<float>(found.zeros);
    for (std::int64_t row = 0; row < rows_; ++row) {
      scales_[row * plan_.groups + group_at(begin)] = scales[static_cast<std::size_t>(row)];
      zeros_[row * plan_.groups + group_at(begin)] = zeros[static_cast<std::size_t>(row)];
    }
  }

  const SweepRequest& request_;
  const ColumnPlan& plan_;
  std::int64_t first_row_;
  std::int64_t rows_;
  std::int64_t columns_;
  std::vector<float> weights_;
  std::vector<float> block_weights_;  // as of the block's start, for kBlock
  std::vector<float> errors_;
  const float* upper_ = nullptr;
  std::uint8_t* codes_ = nullptr;
  float* scales_ = nullptr;
  float* zeros_ = nullptr;
  double* loss_ = nullptr;
  float highest_ = 0;
};

}  // namespace

SweepResult sweep_columns(const SweepRequest& request) {
  const std::int64_t rows = request.weight.size(0);
  const std::int64_t columns = request.weight.size(1);
  const std::int64_t groups = request.plan->groups;
  const bool given = request.source == GroupSource::kGiven;
  SweepResult result;
  result.codes = make_empty({rows, columns}, DType::kUInt8);
  result.scales = given ? request.given.scales.contiguous().clone() : make_zeros({rows, groups}, DType::kFloat32);
  result.zeros = given ? request.given.zeros.contiguous().clone() : make_zeros({rows, groups}, DType::kFloat32);
  result.loss = make_zeros({rows}, DType::kFloat64);
  parallel_for((rows + kRowBlock - 1) / kRowBlock, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      if (request.cancellation != nullptr) request.cancellation->check();
      RowBlock(request, result, block * kRowBlock, std::min(kRowBlock, rows - block * kRowBlock)).run();
    }
  });
  return result;
}

}  // namespace lowbit
