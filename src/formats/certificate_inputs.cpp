#include "formats/certificate_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "lowbit/base/half.h"
#include "lowbit/base/random.h"
#include "lowbit/formats/codebooks.h"

namespace lowbit {
namespace {

constexpr std::int64_t kRunColumns = 256;
constexpr std::int64_t kSignColumns = 1024;
constexpr int kNormals = 2;

constexpr float kLargestE4m3 = 448.0F;

// The columns whose activations are rounded with one scale: all, or runs of at most 256 columns of a group; none where
// they are not rounded.
std::vector<std::vector<std::int32_t>> rounded_parts(const QuantizedWeight& weight, InputRounding rounding) {
  std::vector<std::vector<std::int32_t>> parts;
  if (rounding == InputRounding::kFloat8) {
    parts.emplace_back(static_cast<std::size_t>(weight.columns()));
    std::iota(parts.front().begin(), parts.front().end(), 0);
    return parts;
  }
  if (rounding != InputRounding::kInt8 && rounding != InputRounding::kInt16) return parts;
  const std::vector<std::int32_t> group_of = weight.column_groups();
  std::vector<std::vector<std::int32_t>> groups(static_cast<std::size_t>(weight.scales.size(1)));
  for (std::size_t column = 0; column < group_of.size(); ++column) {
    groups[static_cast<std::size_t>(group_of[column])].push_back(static_cast<std::int32_t>(column));
  }
  if (rounding == InputRounding::kInt8) parts.emplace_back();
  for (const std::vector<std::int32_t>& group : groups) {
    if (rounding == InputRounding::kInt8) {
      parts.front().insert(parts.front().end(), group.begin(), group.end());
      continue;
    }
    for (std::size_t begin = 0; begin < group.size(); begin += kRunColumns) {
      const std::size_t end = std::min(begin + kRunColumns, group.size());
      parts.emplace_back(group.begin() + static_cast<std::ptrdiff_t>(begin),
                         group.begin() + static_cast<std::ptrdiff_t>(end));
    }
  }
  return parts;
}

float nearest_e4m3(float value) {
  static const Codebook& e4m3 = find_codebook("e4m3");
  return e4m3.table[nearest_code(e4m3, std::clamp(value, -kLargestE4m3, kLargestE4m3))];
}

}  // namespace

// A summand is converted to float32, or is a decoded weight; it is multiplied once or twice, as part of an addition or
// by itself, and goes through one addition for each group, run or (kFloat32) column. That the reference rounds
// scale (code - zero) to float32 counts as one more.
CertificateInputs::CertificateInputs(const QuantizedWeight& weight, InputRounding rounding)
    : columns_(weight.columns()) {
  draw();
  const bool chains = rounding == InputRounding::kBFloat16Chains;
  if (rounding == InputRounding::kBFloat16 || chains) {
    for (float& value : values_) value = bfloat16_to_float(float_to_bfloat16(value));
  }
  const std::int64_t padded = padded_tokens();
  reference_.assign(static_cast<std::size_t>(columns_ * padded), 0.0);
  lost_ = reference_;
  scales_.assign(static_cast<std::size_t>(tokens_), 1.0);
  const auto parts = rounded_parts(weight, rounding);
  const std::int64_t additions =
      rounding == InputRounding::kInt8 ? weight.scales.size(1) : static_cast<std::int64_t>(parts.size());
  for (std::int64_t token = 0; token < tokens_; ++token) {
    const float* row = values_.data() + token * columns_;
    for (std::int64_t column = 0; column < columns_; ++column) {
      const auto at = static_cast<std::size_t>(column * padded + token);
      reference_[at] = row[column];
      if (chains && std::abs(row[column]) < 0x1p-100F) lost_[at] = row[column];  // taken for zero
    }
    for (const auto& part : parts) round_part(token, part, rounding);
    const std::int64_t not_zero = columns_ - std::count(row, row + columns_, 0.0F);
    // In units of 2^-24: two of 2^-23 for each term of a matrix unit's sum, and those that join and scale the sums. A
    // table's number is within 2^-17. The scale of an E4M3 number is one more rounding.
    const std::int64_t of_table = weight.grid.kind == GridKind::kInteger ? 0 : 128;
    // Sixteen products, both chains' sum, and one addition for each step of 32 and each group, the last with its scale.
    const std::int64_t of_chains = 17 + (columns_ + 31) / 32 + 2 * weight.scales.size(1) + 2;
    roundings_.push_back(chains                                 ? of_chains
                         : rounding == InputRounding::kBFloat16 ? 4 * not_zero + 16 + of_table
                         : rounding == InputRounding::kFloat8   ? 4 * not_zero + 17 + of_table
                         : rounding == InputRounding::kNone     ? not_zero + 1
                                                                : additions + 4);
  }
}

void CertificateInputs::add(std::string name, const std::vector<float>& row) {
  values_.insert(values_.end(), row.begin(), row.end());
  names_.push_back(std::move(name));
  ++tokens_;
}

void CertificateInputs::draw() {
  const Random random(1, "certificate");
  std::vector<float> row(static_cast<std::size_t>(columns_));
  const auto fill = [&](const std::string& name, const std::function<float(std::uint64_t)>& value) {
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = value(i);
    add(name, row);
  };
  const auto normal = [&](const Random& draws, std::uint64_t i) { return static_cast<float>(draws.normal(i)); };
  for (int i = 0; i < kNormals; ++i) {
    const Random draws = random.child(fmt::format("normal {}", i));
    fill(fmt::format("normal {}", i), [&](std::uint64_t at) { return normal(draws, at); });
  }
  ordinary_ = tokens_;
  const Random outliers = random.child("outliers");
  fill("outliers", [&](std::uint64_t at) {
    return normal(outliers, at) * (outliers.below(2 * at + 1, 100) == 0 ? 1000.0F : 1.0F);
  });
  fill("huge and tiny", [&](std::uint64_t at) {
    return std::ldexp(normal(outliers, at), static_cast<int>(outliers.below(3 * at + 2, 80)) - 60);
  });
  fill("below the normal numbers", [&](std::uint64_t at) { return std::ldexp(normal(outliers, at), -130); });
  fill("cancelling", [](std::uint64_t at) { return (at % 2 == 0 ? 1.0F : -1.0F) * (1.0F + 0x1p-10F); });
  const Random signs = random.child("signs");
  for (std::int64_t begin = 0; begin < columns_; begin += kSignColumns) {
    const auto first = static_cast<std::uint64_t>(begin);
    const auto end = static_cast<std::uint64_t>(std::min(begin + kSignColumns, columns_));
    fill(fmt::format("signs of columns {} .. {}", first, end - 1), [&](std::uint64_t at) {
      return at < first || at >= end ? 0.0F : signs.below(at, 2) == 0 ? 1.0F : -1.0F;
    });
  }
}

void CertificateInputs::round_part(std::int64_t token, const std::vector<std::int32_t>& part, InputRounding rounding) {
  const float* row = values_.data() + token * columns_;
  float largest = 0;
  for (const std::int32_t column : part) largest = std::max(largest, std::abs(row[column]));
  const bool float8 = rounding == InputRounding::kFloat8;
  const float range = float8 ? kLargestE4m3 : rounding == InputRounding::kInt8 ? 127.0F : 32639.0F;
  float scale = largest / range;
  if (float8) {
    if (scale == 0) scale = 1;
  } else {
    scale = std::max(scale, 0x1p-126F);
  }
  double& largest_scale = scales_[static_cast<std::size_t>(token)];
  largest_scale = std::max<double>(largest_scale, scale);
  for (const std::int32_t column : part) {
    const auto at = static_cast<std::size_t>(column * padded_tokens() + token);
    const float quotient = row[column] / scale;
    const double rounded =
        static_cast<double>(float8 ? nearest_e4m3(quotient) : std::nearbyint(quotient)) * static_cast<double>(scale);
    if (float8 || rounding == InputRounding::kInt8) {
      reference_[at] = rounded;
    } else {
      lost_[at] = static_cast<double>(row[column]) - rounded;
    }
  }
}

}  // namespace lowbit
