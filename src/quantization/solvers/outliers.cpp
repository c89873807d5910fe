#include "quantization/solvers/outliers.h"

#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/tensor/factory.h"

namespace lowbit {

std::optional<SparseOutliers> gather_outliers(const at::Tensor& weight, const at::Tensor& mask) {
  const at::Tensor matrix = weight.contiguous();
  const at::Tensor places = mask.contiguous();
  const auto columns = static_cast<std::size_t>(matrix.size(1));
  const auto values = values_of<float>(matrix);
  const auto marked = values_of<std::uint8_t>(places);
  std::vector<std::int32_t> row, column;
  std::vector<float> kept;
  for (std::size_t i = 0; i < marked.size(); ++i) {
    if (marked[i] == 0) continue;
    row.push_back(static_cast<std::int32_t>(i / columns));
    column.push_back(static_cast<std::int32_t>(i % columns));
    kept.push_back(values[i]);
  }
  if (kept.empty()) return std::nullopt;
  return SparseOutliers{tensor_of(std::span<const std::int32_t>(row)), tensor_of(std::span<const std::int32_t>(column)),
                        round_scales(tensor_of(std::span<const float>(kept)), ScaleType::kFloat16)};
}

}  // namespace lowbit
