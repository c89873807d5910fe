#include "quantization/solvers/column_grid.h"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "lowbit/formats/codebooks.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

// Half way between neighbours, where `nearest_code` takes the lower one; just below that where it takes the upper one.
// In float64 the middle of two entries is exact, and no float32 number lies between it and its neighbour.
std::vector<double> boundaries_of(const Codebook& codebook) {
  std::vector<double> result;
  for (std::size_t i = 1; i < codebook.ascending.size(); ++i) {
    const float low = codebook.table[codebook.ascending[i - 1]];
    const float high = codebook.table[codebook.ascending[i]];
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    const bool tie_goes_up =
        codebook.ties_to_even && codebook.ascending[i] % 2 == 0 && codebook.ascending[i - 1] % 2 == 1;
    result.push_back(tie_goes_up ? std::nextafter(middle, -std::numeric_limits<double>::infinity()) : middle);
  }
  return result;
}

}  // namespace

ColumnGrid::ColumnGrid(const GridSpec& grid, at::Device device)
    : real_zero_(grid.kind == GridKind::kOffset), top_((1 << grid.bits) - 1) {
  if (grid.kind != GridKind::kCodebook) return;
  const Codebook& codebook = find_codebook(grid.codebook);
  largest_ = codebook.largest;
  const std::vector<float> ascending(codebook.ascending.begin(), codebook.ascending.end());
  const std::vector<double> boundaries = boundaries_of(codebook);
  table_ = to_place(tensor_of(codebook.table), DType::kFloat32, device);
  ascending_ = to_place(tensor_of(std::span<const float>(ascending)), DType::kFloat32, device);
  boundaries_ = to_place(tensor_of(std::span<const double>(boundaries)), DType::kFloat64, device);
}

at::Tensor ColumnGrid::encode(const at::Tensor& weights, const at::Tensor& scales, const at::Tensor& zeros) const {
  at::Tensor quotients = weights.div(scales);
  if (table_.defined()) {
    quotients.clamp_(-2.0 * largest_, 2.0 * largest_);
    const at::Tensor places = quotients.to(at::kDouble).unsqueeze(1).gt(boundaries_).sum(1);
    return ascending_.index_select(0, places);
  }
  if (real_zero_) return quotients.add_(zeros).round_().clamp_(0, top_);
  return quotients.round_().add_(zeros).clamp_(0, top_);
}

at::Tensor ColumnGrid::decode(const at::Tensor& codes, const at::Tensor& scales, const at::Tensor& zeros) const {
  if (table_.defined()) return table_.index_select(0, codes.to(at::kLong)).mul_(scales);
  return codes.sub(zeros).mul_(scales);
}

}  // namespace lowbit
