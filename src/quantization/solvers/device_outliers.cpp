#include "quantization/solvers/device_outliers.h"

#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

// As `round_scale` to float16: what is not 0 stays so and finite.
at::Tensor to_float16(const at::Tensor& weights) {
  constexpr double kSmallest = 0x1p-24, kLargest = 65504;
  const at::Tensor magnitudes = weights.to(at::kHalf).to(at::kFloat).abs_().clamp_(kSmallest, kLargest);
  return magnitudes.copysign_(weights).mul_(weights.ne(0));
}

}  // namespace

DeviceOutliers::DeviceOutliers(const GridSpec& grid, const at::Tensor& diagonal, double limit, std::int64_t rows,
                               at::Device device)
    : grid_(grid, device),
      limit_(limit),
      diagonal_(to_place(diagonal, DType::kFloat64, device)),
      mask_(to_place(make_zeros({diagonal.size(0), rows}, DType::kUInt8), DType::kUInt8, device)),
      kept_(to_place(make_zeros({diagonal.size(0), rows}, DType::kFloat32), DType::kFloat32, device)) {}

void DeviceOutliers::round(std::int64_t position, DeviceColumn& column) {
  const at::Tensor codes = grid_.encode(column.weights, column.scales, column.zeros);
  const at::Tensor values = grid_.decode(codes, column.scales, column.zeros);
  const at::Tensor errors = column.weights.to(at::kDouble).sub_(values).div_(diagonal_.select(0, position));
  const at::Tensor cheap = errors.square_().le(limit_);
  const at::Tensor kept = to_float16(column.weights).masked_fill_(cheap, 0);
  const at::Tensor zero = grid_.encode(column.weights.mul(0), column.scales, column.zeros);
  column.codes = codes.where(cheap, zero);
  column.values = values.where(cheap, kept);
  mask_.select(0, position).copy_(cheap.logical_not());
  kept_.select(0, position).copy_(kept);
}

}  // namespace lowbit
