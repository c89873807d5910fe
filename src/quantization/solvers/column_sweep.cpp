#include "quantization/solvers/column_sweep.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "formats/grid_fit.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/device_sweep.h"
#include "quantization/solvers/sweep_parts.h"
#include "tensor/panel_tiles.h"
#include "tensor/product_update.h"

namespace lowbit {
namespace {

// A block of rows reads the whole factor: few blocks where rows are many, and enough for all threads where they are
// few.
constexpr std::int64_t kRowBlock = 4 * kMostTileRows;
constexpr std::int64_t kTallRowBlock = 2 * kRowBlock;
constexpr std::int64_t kTall = 1024;
// Below this width columns are updated one by one.
constexpr std::int64_t kLeaf = 8;

void round_to_grid(const GroupGrid& grid, const SweepColumn& column) {
  for (std::size_t row = 0; row < column.weights.size(); ++row) {
    const GroupFit fit{column.scales[row], column.zeros[row]};
    grid.encode(column.weights.subspan(row, 1), fit, &column.codes[row]);
    column.values[row] = grid.decode(column.codes[row], fit);
  }
}

// The pass over all columns of some rows. `weights` and `errors` are [rows, in].
class RowBlock {
 public:
  RowBlock(const SweepRequest& request, SweepResult& result, std::int64_t first_row, std::int64_t rows)
      : request_(request),
        result_(result),
        plan_(*request.plan),
        grid_(request.grid),
        first_row_(first_row),
        rows_(rows),
        columns_(request.weight.size(1)) {
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
    if (request.carried.defined()) {
      carried_.resize(count);
      carry_ = values_of<float>(request.carried).data();
    }
    highest_ = static_cast<float>((1 << request.grid.bits) - 1);
  }

  void run() {
    std::vector<std::int64_t> ends;
    for (std::int64_t begin = 0; begin < columns_; begin = ends.back()) ends.push_back(chunk_end(request_, begin));
    run(ends, 0);
  }

 private:
  // Chunks with these ends, the first of which begins at `begin`: halved until one is left. What a chunk changes
  // reaches those behind it before they are solved, but a group of several chunks needs it in all of its columns when
  // it starts.
  void run(std::span<const std::int64_t> ends, std::int64_t begin) {
    const std::int64_t end = ends.back();
    if (ends.size() == 1) {
      if (request_.source == GroupSource::kBlock) block_weights_ = weights_;
      solve(begin, end);
      if (request_.carry_rounded && carry_ != nullptr) carry_rounded(begin, end);
      return;
    }
    const std::size_t half = split(ends);
    const std::int64_t middle = ends[half - 1];
    run(ends.first(half), begin);
    spread(begin, middle, end);
    run(ends.subspan(half), middle);
  }

  // How many of the chunks are the first half.
  [[nodiscard]] std::size_t split(std::span<const std::int64_t> ends) const {
    const auto fits = [&](std::size_t count) {
      return request_.source == GroupSource::kGiven || starts_group(ends[count - 1]);
    };
    const std::size_t half = ends.size() / 2;
    for (std::size_t off = 0; off < half; ++off) {
      if (fits(half - off)) return half - off;
      if (half + off < ends.size() && fits(half + off)) return half + off;
    }
    return 1;
  }

  [[nodiscard]] std::int32_t group_at(std::int64_t position) const {
    return plan_.group[static_cast<std::size_t>(position)];
  }
  [[nodiscard]] bool starts_group(std::int64_t position) const { return lowbit::starts_group(plan_, position); }

  void solve(std::int64_t begin, std::int64_t end) {
    solve_by_halves(
        begin, end, kLeaf, [&](std::int64_t first, std::int64_t last) { solve_leaf(first, last); },
        [&](std::int64_t first, std::int64_t middle, std::int64_t last) { spread(first, middle, last); });
  }

  void solve_leaf(std::int64_t begin, std::int64_t end) {
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
    if (carry_ == nullptr) return;
    subtract_products(weights_.data() + end, carried_.data() + begin, carry_ + begin * columns_ + end, shape);
  }

  void round_column(std::int64_t column) {
    if (request_.round || request_.grid.kind != GridKind::kInteger) {
      round_by_values(column);
      return;
    }
    const float diagonal = upper_[column * columns_ + column];
    const std::int32_t group = group_at(column);
    for (std::int64_t row = 0; row < rows_; ++row) {
      const std::int64_t at = row * columns_ + column;
      const float scale = scales_[row * plan_.groups + group];
      const float zero = zeros_[row * plan_.groups + group];
      const float weight = weights_[static_cast<std::size_t>(at)];
      const float code = std::clamp(std::nearbyint(weight / scale) + zero, 0.0F, highest_);
      note(row, column, static_cast<std::uint8_t>(code), scale * (code - zero), diagonal);
    }
  }

  // Takes down what stands for a weight, and the error that the columns behind it are to make good.
  void note(std::int64_t row, std::int64_t column, std::uint8_t code, float value, float diagonal) {
    const std::int64_t at = row * columns_ + column;
    const float weight = weights_[static_cast<std::size_t>(at)];
    const float error = (weight - value) / diagonal;
    codes_[at] = code;
    errors_[static_cast<std::size_t>(at)] = error;
    loss_[row] += static_cast<double>(error) * static_cast<double>(error);
    if (carry_ == nullptr) return;
    carried_[static_cast<std::size_t>(at)] = -weight;
    if (request_.carry_rounded) weights_[static_cast<std::size_t>(at)] = value;  // not read again but for that
  }

  // Any grid, and any other rounding, on the column's numbers side by side.
  void round_by_values(std::int64_t column) {
    const auto count = static_cast<std::size_t>(rows_);
    const std::int32_t group = group_at(column);
    std::vector<float> numbers(4 * count);
    std::vector<std::uint8_t> codes(count);
    const auto part = [&](std::size_t index) { return std::span(numbers).subspan(index * count, count); };
    for (std::int64_t row = 0; row < rows_; ++row) {
      const auto r = static_cast<std::size_t>(row);
      part(0)[r] = weights_[static_cast<std::size_t>(row * columns_ + column)];
      part(1)[r] = scales_[row * plan_.groups + group];
      part(2)[r] = zeros_[row * plan_.groups + group];
    }
    const SweepColumn numbers_of_column{part(0), part(1), part(2), codes, part(3)};
    if (request_.round) {
      request_.round({first_row_, rows_, column, column + 1, group}, numbers_of_column);
    } else {
      round_to_grid(grid_, numbers_of_column);
    }
    const float diagonal = upper_[column * columns_ + column];
    for (std::int64_t row = 0; row < rows_; ++row) {
      note(row, column, codes[static_cast<std::size_t>(row)], part(3)[static_cast<std::size_t>(row)], diagonal);
    }
  }

  void carry_rounded(std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t column = begin; column < end; ++column) {
        const auto at = static_cast<std::size_t>(row * columns_ + column);
        carried_[at] = -weights_[at];
      }
    }
  }

  void fit_group(std::int64_t begin) {
    const std::int64_t end = group_end(plan_, begin, columns_);
    const std::vector<float>& source = request_.source == GroupSource::kBlock ? block_weights_ : weights_;
    at::Tensor part = make_empty({rows_, end - begin}, DType::kFloat32);
    float* target = mutable_values_of<float>(part).data();
    for (std::int64_t row = 0; row < rows_; ++row) {
      std::memcpy(target + row * (end - begin), source.data() + row * columns_ + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(float));
    }
    const SweepPlace place{first_row_, rows_, begin, end, group_at(begin)};
    put_parameters(request_.fit(part, place), place, result_);
  }

  const SweepRequest& request_;
  SweepResult& result_;
  const ColumnPlan& plan_;
  GroupGrid grid_;
  std::int64_t first_row_;
  std::int64_t rows_;
  std::int64_t columns_;
  std::vector<float> weights_;
  std::vector<float> block_weights_;  // as of the block's start, for kBlock
  std::vector<float> errors_;
  std::vector<float> carried_;  // what `carry_` multiplies, negated
  const float* carry_ = nullptr;
  const float* upper_ = nullptr;
  std::uint8_t* codes_ = nullptr;
  float* scales_ = nullptr;
  float* zeros_ = nullptr;
  double* loss_ = nullptr;
  float highest_ = 0;
};

NestedScales empty_nested(const GridSpec& grid, std::int64_t rows, std::int64_t groups) {
  const std::int64_t runs = (rows + grid.nested_run - 1) / grid.nested_run;
  return {make_zeros({rows, groups}, DType::kUInt8),
          make_zeros({runs, groups}, DType::kFloat32),
          make_zeros({runs, groups}, DType::kFloat32),
          grid.nested_bits,
          grid.nested_run,
          grid.scale_type};
}

SweepResult empty_result(const SweepRequest& request) {
  const std::int64_t rows = request.weight.size(0);
  const std::int64_t groups = request.plan->groups;
  SweepResult result;
  result.codes = make_empty(shape_of(request.weight), DType::kUInt8);
  result.loss = make_zeros({rows}, DType::kFloat64);
  result.scales = make_zeros({rows, groups}, DType::kFloat32);
  result.zeros = make_zeros({rows, groups}, DType::kFloat32);
  if (request.source == GroupSource::kGiven) {
    result.scales = request.given.scales.contiguous().clone();
    if (request.given.zeros.defined()) result.zeros = request.given.zeros.contiguous().clone();
    result.nested_scales = request.given.nested_scales;
    result.nested_zeros = request.given.nested_zeros;
  } else if (request.grid.nested_bits > 0) {
    result.nested_scales = empty_nested(request.grid, rows, groups);
    if (request.grid.kind == GridKind::kOffset) result.nested_zeros = empty_nested(request.grid, rows, groups);
  }
  return result;
}

// Whole runs of nested scales.
std::int64_t rows_of_block(const GridSpec& grid, std::int64_t rows) {
  const std::int64_t block = rows < kTall ? kRowBlock : kTallRowBlock;
  if (grid.nested_bits == 0) return block;
  return std::max<std::int64_t>(1, block / grid.nested_run) * grid.nested_run;
}

void sweep_in_row_blocks(const SweepRequest& request, SweepResult& result) {
  const std::int64_t rows = request.weight.size(0);
  const std::int64_t row_block = rows_of_block(request.grid, rows);
  parallel_for((rows + row_block - 1) / row_block, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      if (request.cancellation != nullptr) request.cancellation->check();
      RowBlock(request, result, block * row_block, std::min(row_block, rows - block * row_block)).run();
    }
  });
}

}  // namespace

SweepResult sweep_columns(const SweepRequest& request) {
  SweepResult result = empty_result(request);
  (request.device.is_cpu() ? sweep_in_row_blocks : sweep_on_device)(request, result);
  if (request.grid.kind == GridKind::kCodebook) result.zeros = at::Tensor();
  return result;
}

QuantizedWeight as_weight(SweepResult solved, const SweepRequest& request) {
  QuantizedWeight weight;
  weight.grid = request.grid;
  weight.codes = columns_restored(solved.codes, *request.plan);
  weight.scales = std::move(solved.scales);
  weight.zeros = std::move(solved.zeros);
  weight.nested_scales = std::move(solved.nested_scales);
  weight.nested_zeros = std::move(solved.nested_zeros);
  weight.group_index = group_index(*request.plan);
  return weight;
}

}  // namespace lowbit
