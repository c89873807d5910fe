#include "reference_gptq.h"

#include <algorithm>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit::bench {
namespace {

struct Grid {
  at::Tensor scale, zero;  // [out]
  double top = 0;
};

Grid fit(const at::Tensor& part, int bits) {
  Grid grid;
  grid.top = static_cast<double>((1 << bits) - 1);
  const at::Tensor low = part.amin({1}).clamp_max(0.0);
  const at::Tensor high = part.amax({1}).clamp_min(0.0);
  const at::Tensor range = high.sub(low);
  grid.scale = range.masked_fill(range.eq(0), grid.top).div(grid.top);
  grid.zero = low.neg().div(grid.scale).round();
  return grid;
}

}  // namespace

ReferenceGptq reference_gptq(const at::Tensor& weight, const at::Tensor& upper, int bits, std::int64_t group,
                             std::int64_t block) {
  const NoGradScope no_gradients;
  const std::int64_t columns = weight.size(1);
  at::Tensor rest = weight.clone();
  ReferenceGptq result{make_zeros(shape_of(weight), DType::kFloat32), make_zeros(shape_of(weight), DType::kFloat32)};
  Grid grid;
  for (std::int64_t begin = 0; begin < columns; begin += block) {
    const std::int64_t count = std::min(block, columns - begin);
    at::Tensor part = rest.narrow(1, begin, count).clone();
    at::Tensor errors = make_zeros(shape_of(part), DType::kFloat32);
    const at::Tensor factor = upper.narrow(0, begin, count).narrow(1, begin, count);
    for (std::int64_t i = 0; i < count; ++i) {
      if ((begin + i) % group == 0) grid = fit(rest.narrow(1, begin + i, std::min(group, columns - begin - i)), bits);
      const at::Tensor column = part.select(1, i);
      const at::Tensor codes = column.div(grid.scale).round().add(grid.zero).clamp(0.0, grid.top);
      const at::Tensor values = codes.sub(grid.zero).mul(grid.scale);
      const at::Tensor row = factor.select(0, i).narrow(0, i, count - i);
      const at::Tensor error = column.sub(values).div(row.select(0, 0));
      result.codes.select(1, begin + i).copy_(codes);
      result.values.select(1, begin + i).copy_(values);
      part.narrow(1, i, count - i).sub_(error.unsqueeze(1).matmul(row.unsqueeze(0)));
      errors.select(1, i).copy_(error);
    }
    const std::int64_t end = begin + count;
    const at::Tensor behind = upper.narrow(0, begin, count).narrow(1, end, columns - end);
    rest.narrow(1, end, columns - end).sub_(errors.matmul(behind));
  }
  return result;
}

}  // namespace lowbit::bench
