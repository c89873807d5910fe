#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "kernel_cases.h"

// The definitions of lowbit/kernels/api.h, computed from canonical weights alone: no packing, no padding, no tiles, and
// sums of integers in 64 bits.
namespace lowbit::kernels::testing {

class Oracle {
 public:
  explicit Oracle(const UnpackedWeight& weight) : weight_(weight) {
    std::map<std::int32_t, std::vector<std::int64_t>> groups;
    for (std::int64_t c = 0; c < weight.shape.columns; ++c) groups[group_of(c)].push_back(c);
    for (auto& [group, columns] : groups) groups_.push_back(std::move(columns));
    for (std::size_t i = 0; i < weight.outlier_rows.size(); ++i) {
      outliers_[{weight.outlier_rows[i], weight.outlier_columns[i]}] = weight.outlier_values[i];
    }
  }

  [[nodiscard]] float product(Arithmetic arithmetic, const float* input, std::int64_t row, float bias) const {
    if (arithmetic == Arithmetic::kFloat32) return float_product(input, row, bias);
    float y = sums(arithmetic, input, row);
    for (const auto& columns : groups_) {
      for (const std::int64_t c : columns) {
        const auto found = outliers_.find({row, c});
        if (found != outliers_.end()) y = std::fma(input[c], found->second, y);
      }
    }
    return y + bias;
  }

  /// Decoded, outliers put in.
  [[nodiscard]] float weight(std::int64_t row, std::int64_t column) const {
    const auto found = outliers_.find({row, column});
    if (found != outliers_.end()) return found->second;
    const float scale = weight_.scales[group_place(row, column)];
    if (weight_.shape.decoding == Decoding::kTable) return scale * weight_.table[code(row, column)];
    return scale * (static_cast<float>(code(row, column)) - weight_.zeros[group_place(row, column)]);
  }

  /// The activations as integers times their scale, which is also returned for each column.
  struct Rounded {
    std::vector<std::int64_t> integers;
    std::vector<float> scales;
  };
  [[nodiscard]] Rounded rounded(Arithmetic arithmetic, const float* input) const {
    const auto size = static_cast<std::size_t>(weight_.shape.columns);
    Rounded result{std::vector<std::int64_t>(size), std::vector<float>(size)};
    std::vector<std::vector<std::int64_t>> parts(1);
    const bool bytes = arithmetic != Arithmetic::kInt16;
    if (bytes) {
      for (std::int64_t c = 0; c < weight_.shape.columns; ++c) parts[0].push_back(c);
    } else {
      parts = runs();
    }
    for (const auto& part : parts) {
      float largest = 0.0F;
      bool finite = true;
      for (const std::int64_t c : part) {
        largest = std::max(largest, std::fabs(input[c]));
        finite = finite && std::isfinite(input[c]);
      }
      float scale = std::max(largest / (bytes ? 127.0F : 32639.0F), 0x1p-126F);
      if (!finite) scale = std::nanf("");
      for (const std::int64_t c : part) {
        const auto at = static_cast<std::size_t>(c);
        result.scales[at] = scale;
        result.integers[at] = finite ? std::llrint(input[c] / scale) : 0;
      }
    }
    return result;
  }

 private:
  [[nodiscard]] float sums(Arithmetic arithmetic, const float* input, std::int64_t row) const {
    switch (arithmetic) {
      case Arithmetic::kInt8: return int8_product(input, row);
      case Arithmetic::kInt8TwoLevel: return two_level_product(input, row);
      case Arithmetic::kBFloat16: return bfloat16_product(input, row);
      case Arithmetic::kInt16:
      case Arithmetic::kFloat32: break;
    }
    return int16_product(input, row);
  }

  // Even and odd columns of each step of 32 of a group are chains of their own.
  [[nodiscard]] float bfloat16_product(const float* input, std::int64_t row) const {
    float f = 0.0F;
    for (const auto& columns : groups_) {
      float sum = 0.0F;
      for (std::size_t begin = 0; begin < columns.size(); begin += 32) {
        float parts[2] = {};
        for (std::size_t i = begin; i < std::min(begin + 32, columns.size()); ++i) {
          float value = bfloat16_to_float(float_to_bfloat16(input[columns[i]]));
          if (std::fabs(value) < 0x1p-100F) value = 0.0F;
          const float zero = weight_.zeros[group_place(row, columns[i])];
          const float whole =
              outliers_.contains({row, columns[i]}) ? 0.0F : static_cast<float>(code(row, columns[i])) - zero;
          parts[i % 2] = std::fma(value, whole, parts[i % 2]);
        }
        sum += parts[0] + parts[1];
      }
      f = std::fma(sum, weight_.scales[group_place(row, columns[0])], f);
    }
    return f;
  }

  [[nodiscard]] std::int32_t group_of(std::int64_t column) const {
    if (!weight_.group_index.empty()) return weight_.group_index[static_cast<std::size_t>(column)];
    return static_cast<std::int32_t>(column / weight_.shape.group);
  }
  [[nodiscard]] std::size_t group_place(std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>(row * weight_.shape.groups + group_of(column));
  }
  [[nodiscard]] std::uint8_t code(std::int64_t row, std::int64_t column) const {
    return weight_.codes[static_cast<std::size_t>(row * weight_.shape.columns + column)];
  }

  // At most 256 columns of a group each.
  [[nodiscard]] std::vector<std::vector<std::int64_t>> runs() const {
    std::vector<std::vector<std::int64_t>> result;
    for (const auto& columns : groups_) {
      for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i % 256 == 0) result.emplace_back();
        result.back().push_back(columns[i]);
      }
    }
    return result;
  }

  [[nodiscard]] std::int64_t exact_sum(const std::vector<std::int64_t>& columns, const Rounded& rounded,
                                       std::int64_t row) const {
    std::int64_t sum = 0;
    for (const std::int64_t c : columns) {
      if (outliers_.contains({row, c})) continue;
      const auto zero = static_cast<std::int64_t>(weight_.zeros[group_place(row, c)]);
      sum += rounded.integers[static_cast<std::size_t>(c)] * (code(row, c) - zero);
    }
    EXPECT_EQ(sum, static_cast<std::int32_t>(sum)) << "the sum leaves 32 bits";
    return sum;
  }

  [[nodiscard]] float int8_product(const float* input, std::int64_t row) const {
    const Rounded rounded = this->rounded(Arithmetic::kInt8, input);
    float f = 0.0F;
    for (const auto& columns : groups_) {
      const auto sum = static_cast<float>(exact_sum(columns, rounded, row));
      f = std::fma(sum, weight_.scales[group_place(row, columns[0])], f);
    }
    return f * rounded.scales[0];
  }

  // The largest number of which all of a row's scales are whole multiples up to 255, found by trial.
  [[nodiscard]] float row_scale(std::int64_t row) const {
    const auto groups = static_cast<std::size_t>(weight_.shape.groups);
    const std::span<const float> scales(weight_.scales.data() + static_cast<std::size_t>(row) * groups, groups);
    float least = 0.0F;
    for (const float scale : scales) {
      if (scale != 0.0F && (least == 0.0F || scale < least)) least = scale;
    }
    const auto divides = [&](float number) {
      return std::ranges::all_of(scales, [&](double scale) {
        const double count = scale / number;
        return count <= 255 && std::nearbyint(count) * number == scale;
      });
    };
    for (int count = 1; count <= 255 && least != 0.0F; ++count) {
      const float number = least / static_cast<float>(count);
      if (divides(number)) return number;
    }
    return 0.0F;
  }

  [[nodiscard]] float two_level_product(const float* input, std::int64_t row) const {
    const Rounded rounded = this->rounded(Arithmetic::kInt8TwoLevel, input);
    const float number = row_scale(row);
    std::int64_t sum = 0;
    for (const auto& columns : groups_) {
      const float scale = weight_.scales[group_place(row, columns[0])];
      sum += (number == 0.0F ? 0 : std::llrint(scale / number)) * exact_sum(columns, rounded, row);
    }
    EXPECT_EQ(sum, static_cast<std::int32_t>(sum)) << "the sum leaves 32 bits";
    return static_cast<float>(sum) * number * rounded.scales[0];
  }

  [[nodiscard]] float int16_product(const float* input, std::int64_t row) const {
    const Rounded rounded = this->rounded(Arithmetic::kInt16, input);
    float f = 0.0F;
    for (const auto& columns : runs()) {
      const auto sum = static_cast<float>(exact_sum(columns, rounded, row));
      const float scaled = sum * weight_.scales[group_place(row, columns[0])];
      f = std::fma(scaled, rounded.scales[static_cast<std::size_t>(columns[0])], f);
    }
    return f;
  }

  [[nodiscard]] float float_product(const float* input, std::int64_t row, float bias) const {
    float f = bias;
    for (const auto& columns : groups_) {
      for (const std::int64_t c : columns) f = std::fma(input[c], weight(row, c), f);
    }
    return f;
  }

  const UnpackedWeight& weight_;
  std::vector<std::vector<std::int64_t>> groups_;
  std::map<std::pair<std::int64_t, std::int64_t>, float> outliers_;
};

}  // namespace lowbit::kernels::testing
