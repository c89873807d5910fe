#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/quantized_weight.h"

namespace lowbit {

/// The rows of a weight, which outlives it, one at a time and as `QuantizedWeight::dequantize` gives them.
class RowDecoder {
 public:
  explicit RowDecoder(const QuantizedWeight& weight);
  /// `out` has room for all columns.
  void decode(std::int64_t row, float* out) const;

 private:
  void put_outliers(std::int64_t row, float* out) const;

  std::size_t columns_;
  std::size_t groups_;
  std::size_t width_;         // columns of a group
  const Codebook* codebook_;  // or null
  std::span<const std::uint8_t> codes_;
  std::span<const float> scales_;
  std::span<const float> zeros_;        // none with a codebook
  std::vector<std::int32_t> group_of_;  // of each column, where groups do not simply follow each other
  std::span<const std::int32_t> outlier_rows_;
  std::span<const std::int32_t> outlier_columns_;
  std::span<const float> outlier_values_;
};

}  // namespace lowbit
