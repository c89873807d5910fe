#include "@name@.h"

#include <lowbit/base/error.h>
#include <lowbit/tensor/factory.h>
#include <lowbit/tensor/ops.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace {

using lowbit::GroupParameters;
using lowbit::values_of;

// |W - s (q - z)|^2 of each row, added up in double.
std::vector<double> squared_errors(const at::Tensor& weight, const at::Tensor& rounded) {
  const std::span<const float> w = values_of<float>(weight);
  const std::span<const float> r = values_of<float>(rounded);
  const auto columns = static_cast<std::size_t>(weight.size(1));
  std::vector<double> errors(static_cast<std::size_t>(weight.size(0)));
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double difference = static_cast<double>(w[i]) - static_cast<double>(r[i]);
    errors[i / columns] += difference * difference;
  }
  return errors;
}

// s = <W, q - z> / |q - z|^2 of each row; where no code differs from z, the scale stays what it is.
at::Tensor best_scales(const at::Tensor& weight, const at::Tensor& codes, const GroupParameters& now) {
  const std::span<const float> w = values_of<float>(weight);
  const std::span<const std::uint8_t> q = values_of<std::uint8_t>(codes);
  const std::span<const float> z = values_of<float>(now.zeros);
  const auto columns = static_cast<std::size_t>(weight.size(1));
  at::Tensor result = now.scales.clone();
  const std::span<float> scales = lowbit::mutable_values_of<float>(result);
  for (std::size_t row = 0; row < scales.size(); ++row) {
    double product = 0, square = 0;
    for (std::size_t i = row * columns; i < (row + 1) * columns; ++i) {
      const double step = static_cast<double>(q[i]) - static_cast<double>(z[row]);
      product += static_cast<double>(w[i]) * step;
      square += step * step;
    }
    if (square > 0 && product > 0) scales[row] = static_cast<float>(product / square);
  }
  return result;
}

}  // namespace

lowbit::GridSpec @Class@::grid() const {
  lowbit::GridSpec spec;
  spec.bits = options_.bits;
  spec.group = options_.group;
  spec.symmetry = lowbit::Symmetry::kSymRestricted;
  return spec;
}

GroupParameters @Class@::fit(const at::Tensor& weight) const {
  const auto errors = [&](const GroupParameters& parameters) {
    const at::Tensor codes = encode_columns(weight, parameters, grid());
    return squared_errors(weight, decode_columns(codes, parameters, grid()));
  };
  GroupParameters best = fit_min_max(weight, grid());
  std::vector<double> least = errors(best);
  GroupParameters turn{best.scales.clone(), best.zeros};
  for (int round = 0; round < options_.rounds; ++round) {
    const at::Tensor codes = encode_columns(weight, turn, grid());
    // Rounded to the type that they are stored in, before any code is chosen by them.
    turn.scales = round_scales(best_scales(weight, codes, turn), grid().scale_type);
    const std::vector<double> now = errors(turn);
    const std::span<const float> scales = values_of<float>(turn.scales);
    const std::span<float> kept = lowbit::mutable_values_of<float>(best.scales);
    for (std::size_t row = 0; row < now.size(); ++row) {
      if (now[row] >= least[row]) continue;
      least[row] = now[row];
      kept[row] = scales[row];
    }
  }
  return best;
}

lowbit::QuantizedWeight @Class@::solve(const lowbit::LinearProblem& problem) const {
  if (!lowbit::all_finite(problem.weight))
    lowbit::fail(lowbit::ErrorCode::kData, "{}: the weight holds NaN or infinity", problem.layer);
  const std::int64_t columns = problem.weight.size(1);
  std::vector<at::Tensor> codes, scales, zeros;
  for (std::int64_t begin = 0; begin < columns; begin += options_.group) {
    const at::Tensor part = problem.weight.slice(1, begin, std::min(begin + options_.group, columns)).contiguous();
    const GroupParameters parameters = fit(part);
    codes.push_back(encode_columns(part, parameters, grid()));
    scales.push_back(parameters.scales);
    zeros.push_back(parameters.zeros);
  }
  lowbit::QuantizedWeight result;
  result.grid = grid();
  result.codes = lowbit::concatenate(codes, 1);      // [out, in]
  result.scales = lowbit::stack_tensors(scales, 1);  // [out, groups]
  result.zeros = lowbit::stack_tensors(zeros, 1);
  return result;
}
