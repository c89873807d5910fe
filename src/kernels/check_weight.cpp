#include <atomic>
#include <cmath>
#include <optional>

#include "kernels/executor.h"
#include "kernels/layout.h"
#include "kernels/scan_numbers.h"
#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/kernels/two_level.h"

namespace lowbit::kernels {

namespace {

constexpr std::int64_t kMostColumns = std::int64_t{1} << 24;
constexpr std::int64_t kMostRows = std::int64_t{1} << 24;

template <typename T>
void check_size(const char* what, std::span<const T> values, std::int64_t expected, const char* meaning) {
  if (static_cast<std::int64_t>(values.size()) == expected && (expected == 0 || values.data() != nullptr)) return;
  fail(ErrorCode::kData, "packing: {} has {} numbers, expected {} ({})", what, values.size(), expected, meaning);
}

void check_shape(const CanonicalWeight& weight) {
  if (weight.rows < 1 || weight.rows > kMostRows || weight.columns < 1 || weight.columns > kMostColumns) {
    fail(ErrorCode::kData, "packing: the matrix is [{}, {}], expected 1 to {} rows and 1 to {} columns", weight.rows,
         weight.columns, kMostRows, kMostColumns);
  }
  if (weight.bits < 2 || weight.bits > 8) {
    fail(ErrorCode::kData, "packing: codes have {} bits, expected 2 to 8", weight.bits);
  }
  if (weight.groups < 1 || weight.groups > weight.columns) {
    fail(ErrorCode::kData, "packing: {} groups of {} columns, expected at least 1 and at most one a column",
         weight.groups, weight.columns);
  }
  if (!weight.group_index.empty()) {
    check_size("group_index", weight.group_index, weight.columns, "one a column");
    return;
  }
  if (weight.group < 1) fail(ErrorCode::kData, "packing: a group has {} columns, expected at least 1", weight.group);
  const std::int64_t expected = (weight.columns - 1) / weight.group + 1;
  if (weight.groups != expected) {
    fail(ErrorCode::kData, "packing: {} groups, expected {} (groups of {} in {} columns)", weight.groups, expected,
         weight.group, weight.columns);
  }
}

float rounded(float value, ScaleStorage storage) {
  switch (storage) {
    case ScaleStorage::kFloat16: return half_to_float(float_to_half(value));
    case ScaleStorage::kBFloat16: return bfloat16_to_float(float_to_bfloat16(value));
    case ScaleStorage::kFloat32:
    case ScaleStorage::kUint8: break;  // `check_two_levels`
  }
  return value;
}

void check_scales(const CanonicalWeight& weight) {
  const char* type = weight.scale_storage == ScaleStorage::kFloat16 ? "float16" : "bfloat16";
  for (std::size_t i = 0; i < weight.scales.size(); ++i) {
    const std::int64_t row = static_cast<std::int64_t>(i) / weight.groups;
    const std::int64_t group = static_cast<std::int64_t>(i) % weight.groups;
    const float scale = weight.scales[i];
    if (!std::isfinite(scale)) {
      fail(ErrorCode::kData, "packing: the scale of row {}, group {} is {}, expected a finite number", row, group,
           scale);
    }
    if (rounded(scale, weight.scale_storage) != scale) {
      fail(ErrorCode::kData,
           "packing: the scale of row {}, group {} is {}, which {} cannot hold; round scales before "
           "codes are chosen, or pack them as float32",
           row, group, scale, type);
    }
  }
}

void check_zeros(const CanonicalWeight& weight) {
  const auto highest = static_cast<float>((1 << weight.bits) - 1);
  for (std::size_t i = 0; i < weight.zeros.size(); ++i) {
    const float zero = weight.zeros[i];
    const bool whole = zero >= 0.0F && zero <= highest && zero == std::floor(zero);
    if (weight.decoding == Decoding::kRealZero ? std::isfinite(zero) : whole) continue;
    fail(ErrorCode::kData, "packing: the zero of row {}, group {} is {}, expected {}",
         static_cast<std::int64_t>(i) / weight.groups, static_cast<std::int64_t>(i) % weight.groups, zero,
         weight.decoding == Decoding::kRealZero ? std::string("a finite number")
                                                : fmt::format("a whole number from 0 to {}", highest));
  }
}

// Whole multiples of one number a row, small enough for all n (code - zero) to be signed bytes.
void check_two_levels(const CanonicalWeight& weight) {
  if (weight.decoding != Decoding::kWholeZero || weight.bits > 4) {
    fail(ErrorCode::kData,
         "packing: scales of two levels with {} and codes of {} bits, expected whole zero points and 2 to 4 bits; pack "
         "the scales as float32",
         weight.decoding == Decoding::kTable      ? "a table"
         : weight.decoding == Decoding::kRealZero ? "real zero points"
                                                  : "whole zero points",
         weight.bits);
  }
  for (std::int64_t row = 0; row < weight.rows; ++row) {
    const auto begin = static_cast<std::size_t>(row * weight.groups);
    const auto scales = weight.scales.subspan(begin, static_cast<std::size_t>(weight.groups));
    const std::optional<float> of_row = row_scale(scales);
    if (!of_row) {
      fail(ErrorCode::kData,
           "packing: the scales of row {} are no whole multiples, up to 255, of one positive number; round them before "
           "codes are chosen, or pack them as float32",
           row);
    }
    for (std::size_t g = 0; g < scales.size(); ++g) {
      const int whole = *of_row == 0.0F ? 0 : static_cast<int>(scales[g] / *of_row);
      const ZeroRange zeros = zeros_for(whole, weight.bits);
      const auto zero = static_cast<int>(weight.zeros[begin + g]);
      if (zero >= zeros.low && zero <= zeros.high) continue;
      fail(
          ErrorCode::kData,
          "packing: {} (code - {}) of row {}, group {} leaves -128..127 for codes of {} bits; fit scales of two levels "
          "so that it does not, or pack them as float32",
          whole, zero, row, g, weight.bits);
    }
  }
}

// Codes are below this.
std::size_t code_limit(const CanonicalWeight& weight) {
  return weight.decoding == Decoding::kTable ? weight.table.size() : std::size_t{1} << weight.bits;
}

// Whether nothing is wrong with scales and zeros of rows begin .. end - 1. False may be a false alarm.
bool surely_sound(const CanonicalWeight& weight, std::int64_t begin, std::int64_t end) {
  const std::int64_t first = begin * weight.groups;
  const std::int64_t count = (end - begin) * weight.groups;
  if (!surely_held(weight.scales.data() + first, count, weight.scale_storage)) return false;
  if (weight.decoding == Decoding::kTable) return true;
  const float* zeros = weight.zeros.data() + first;
  if (weight.decoding == Decoding::kRealZero) return all_finite(zeros, count);
  return all_whole(zeros, count, static_cast<float>((1 << weight.bits) - 1));
}

void check_indices(const CanonicalWeight& weight) {
  for (std::size_t c = 0; c < weight.group_index.size(); ++c) {
    if (weight.group_index[c] >= 0 && weight.group_index[c] < weight.groups) continue;
    fail(ErrorCode::kData, "packing: column {} lies in group {}, expected 0 to {}", c, weight.group_index[c],
         weight.groups - 1);
  }
  std::int64_t previous = -1;
  for (std::size_t i = 0; i < weight.outliers.rows.size(); ++i) {
    const std::int64_t row = weight.outliers.rows[i];
    const std::int64_t column = weight.outliers.columns[i];
    if (row < 0 || row >= weight.rows || column < 0 || column >= weight.columns) {
      fail(ErrorCode::kData, "packing: outlier {} lies at row {}, column {} of a matrix [{}, {}]", i, row, column,
           weight.rows, weight.columns);
    }
    if (!std::isfinite(weight.outliers.values[i])) {
      fail(ErrorCode::kData, "packing: the outlier at row {}, column {} is {}, expected a finite number", row, column,
           weight.outliers.values[i]);
    }
    const std::int64_t place = row * weight.columns + column;
    if (place <= previous) {
      fail(ErrorCode::kData,
           "packing: outlier {} (row {}, column {}) does not follow the one before it; sort them by "
           "row and column, each place once",
           i, row, column);
    }
    previous = place;
  }
}

}  // namespace

bool codes_hold(const CanonicalWeight& weight, std::int64_t begin, std::int64_t end) {
  const std::int64_t codes = (end - begin) * weight.columns;
  return largest_code(weight.codes.data() + begin * weight.columns, codes) < code_limit(weight);
}

void check_codes(const CanonicalWeight& weight) {
  const std::size_t limit = code_limit(weight);
  for (std::size_t i = 0; i < weight.codes.size(); ++i) {
    if (weight.codes[i] < limit) continue;
    const auto place = static_cast<std::int64_t>(i);
    fail(ErrorCode::kData, "packing: the code of row {}, column {} is {}, expected less than {}",
         place / weight.columns, place % weight.columns, weight.codes[i], limit);
  }
}

void check_weight(const CanonicalWeight& weight, const Executor& executor) {
  check_shape(weight);
  const bool table = weight.decoding == Decoding::kTable;
  check_size("codes", weight.codes, weight.rows * weight.columns, "rows times columns");
  check_size("scales", weight.scales, weight.rows * weight.groups, "rows times groups");
  check_size("zeros", weight.zeros, table ? 0 : weight.rows * weight.groups,
             table ? "a table has none" : "rows times groups");
  if (table ? weight.table.empty() || weight.table.size() > std::size_t{1} << weight.bits : !weight.table.empty()) {
    fail(ErrorCode::kData, "packing: the table has {} numbers, expected {}", weight.table.size(),
         table ? fmt::format("1 to {}", 1 << weight.bits) : std::string("none beside zero points"));
  }
  const auto outliers = static_cast<std::int64_t>(weight.outliers.rows.size());
  check_size("outliers.columns", weight.outliers.columns, outliers, "one an outlier");
  check_size("outliers.values", weight.outliers.values, outliers, "one an outlier");
  std::atomic<bool> sound{true};
  run_parts(executor, weight.rows, [&](std::int64_t begin, std::int64_t end) {
    if (!surely_sound(weight, begin, end)) sound = false;
  });
  if (!sound) {
    check_scales(weight);
    check_zeros(weight);
  }
  if (weight.scale_storage == ScaleStorage::kUint8) check_two_levels(weight);
  check_indices(weight);
}

}  // namespace lowbit::kernels
