#include <algorithm>
#include <cmath>
#include <span>

#include "formats/grid_fit.h"
#include "formats/joined_bits.h"
#include "kernels/scan_numbers.h"
#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/kernels/two_level.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

void require_tensor(const at::Tensor& tensor, const char* what, DType type, const Shape& shape) {
  if (!tensor.defined()) fail(ErrorCode::kData, "{} are missing", what);
  if (dtype_of(tensor) != type || shape_of(tensor) != shape || !tensor.is_contiguous()) {
    fail(ErrorCode::kData, "{} are {} {}, expected {} {}", what, dtype_name(dtype_of(tensor)),
         shape_text(shape_of(tensor)), dtype_name(type), shape_text(shape));
  }
}

// One look at all numbers mostly tells that each will do; only else each is looked at by itself, for what is wrong.
bool surely_held(std::span<const float> values, ScaleType type) {
  const auto count = static_cast<std::int64_t>(values.size());
  switch (type) {
    case ScaleType::kFloat16: return kernels::surely_held(values.data(), count, kernels::ScaleStorage::kFloat16);
    case ScaleType::kBFloat16: return kernels::surely_held(values.data(), count, kernels::ScaleStorage::kBFloat16);
    case ScaleType::kFloat32: return kernels::surely_held(values.data(), count, kernels::ScaleStorage::kFloat32);
    default: return false;
  }
}

void check_finite(const at::Tensor& tensor, const char* what) {
  const auto values = values_of<float>(tensor);
  if (kernels::all_finite(values.data(), static_cast<std::int64_t>(values.size()))) return;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) fail(ErrorCode::kData, "{} hold {} at position {}", what, values[i], i);
  }
}

void check_representable(const at::Tensor& tensor, const char* what, ScaleType type, float tensor_scale = 1.0F) {
  const auto values = values_of<float>(tensor);
  if (surely_held(values, type)) return;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool signed_type = type != ScaleType::kE8M0 && type != ScaleType::kE4M3;
    if ((!signed_type && !(values[i] > 0.0F)) || round_scale(values[i], type, tensor_scale) != values[i]) {
      fail(ErrorCode::kData, "{} hold {} at position {}, which type {} cannot store", what, values[i], i,
           scale_type_name(type));
    }
  }
}

void check_two_levels(const QuantizedWeight& weight) {
  const auto scales = values_of<float>(weight.scales);
  const auto zeros = values_of<float>(weight.zeros);
  const auto groups = static_cast<std::size_t>(weight.scales.size(1));
  for (std::size_t first = 0; first < scales.size(); first += groups) {
    const auto of_row = kernels::row_scale(scales.subspan(first, groups));
    if (!of_row || *of_row == 0.0F) {
      fail(ErrorCode::kData, "the scales of row {} are no whole multiples, up to 255, of one positive number",
           first / groups);
    }
    for (std::size_t i = first; i < first + groups; ++i) {
      const auto whole = static_cast<int>(scales[i] / *of_row);
      const auto range = kernels::zeros_for(whole, weight.grid.bits);
      if (whole > 0 && zeros[i] >= static_cast<float>(range.low) && zeros[i] <= static_cast<float>(range.high))
        continue;
      fail(ErrorCode::kData, "{} (code - {}) of row {}, group {} leaves -128..127 for codes of {} bits", whole,
           zeros[i], first / groups, i - first, weight.grid.bits);
    }
  }
}

void check_nested(const NestedScales& nested, const at::Tensor& values, const char* what) {
  const std::int64_t out = values.size(0);
  const std::int64_t groups = values.size(1);
  if (nested.bits < 1 || nested.bits > 8)
    fail(ErrorCode::kData, "nested {} have {} bits, expected 1 to 8", what, nested.bits);
  if (nested.run < 1) fail(ErrorCode::kData, "nested {} have runs of {} rows, expected at least 1", what, nested.run);
  if (nested.type == ScaleType::kE8M0 || nested.type == ScaleType::kE4M3) {
    fail(ErrorCode::kData, "nested {} are of type {}, expected float16, bfloat16 or float32", what,
         scale_type_name(nested.type));
  }
  const std::int64_t runs = (out + nested.run - 1) / nested.run;
  require_tensor(nested.codes, "codes of nested scales", DType::kUInt8, {out, groups});
  require_tensor(nested.scales, "scales of nested scales", DType::kFloat32, {runs, groups});
  require_tensor(nested.zeros, "zeros of nested scales", DType::kFloat32, {runs, groups});
  check_representable(nested.scales, "scales of nested scales", nested.type);
  check_representable(nested.zeros, "zeros of nested scales", nested.type);
  for (const std::uint8_t code : values_of<std::uint8_t>(nested.codes)) {
    if ((code >> nested.bits) != 0)
      fail(ErrorCode::kData, "nested {} hold code {} on {} bits", what, code, nested.bits);
  }
  const at::Tensor expected = nested.dequantize();
  const auto a = values_of<float>(expected);
  const auto b = values_of<float>(values);
  if (!std::equal(a.begin(), a.end(), b.begin()))
    fail(ErrorCode::kData, "{} differ from what the nested codes stand for", what);
}

void check_groups(const QuantizedWeight& weight, std::int64_t groups) {
  if (!weight.group_index.defined()) return;
  require_tensor(weight.group_index, "group indices", DType::kInt32, {weight.columns()});
  for (const std::int32_t group : values_of<std::int32_t>(weight.group_index)) {
    if (group < 0 || group >= groups) {
      fail(ErrorCode::kData, "group index {} is outside 0 .. {}", group, groups - 1);
    }
  }
}

void check_codes(const QuantizedWeight& weight, std::int64_t groups) {
  if (weight.group_bits.defined()) {
    require_tensor(weight.group_bits, "group bits", DType::kUInt8, {groups});
    for (const std::uint8_t bits : values_of<std::uint8_t>(weight.group_bits)) {
      if (bits < 1 || bits > 8) fail(ErrorCode::kData, "a group has {} bits, expected 1 to 8", bits);
    }
  }
  const Codebook* codebook = weight.grid.kind == GridKind::kCodebook ? &find_codebook(weight.grid.codebook) : nullptr;
  const std::vector<std::uint8_t> bits = weight.bits_of_groups();
  const std::vector<std::int32_t> group_of = weight.column_groups();
  const auto codes = values_of<std::uint8_t>(weight.codes);
  const std::size_t columns = group_of.size();
  // Mostly one look at all codes of a row tells that each is on the grid.
  const int least_bits = bits.empty() ? 0 : *std::min_element(bits.begin(), bits.end());
  const auto is_number = [](float value) { return !std::isnan(value); };
  const bool all_known =
      codebook == nullptr || (codebook->table.size() >= std::size_t{1} << least_bits &&
                              std::all_of(codebook->table.begin(), codebook->table.end(), is_number));
  for (std::size_t row = 0; row * columns < codes.size(); ++row) {
    if (all_known && (joined_bits(codes.subspan(row * columns, columns)) >> least_bits) == 0) continue;
    for (std::size_t column = 0; column < columns; ++column) {
      const std::uint8_t code = codes[row * columns + column];
      const bool known = codebook == nullptr || (code < codebook->table.size() && !std::isnan(codebook->table[code]));
      if (known && (code >> bits[static_cast<std::size_t>(group_of[column])]) == 0) continue;
      fail(ErrorCode::kData, "code {} at row {}, column {} is not on the grid {}", code, row, column,
           weight.grid.text());
    }
  }
}

void check_zeros(const QuantizedWeight& weight, const Shape& shape) {
  if (weight.grid.kind == GridKind::kCodebook) {
    if (weight.zeros.defined()) fail(ErrorCode::kData, "a codebook grid has no zeros");
    return;
  }
  require_tensor(weight.zeros, "zeros", DType::kFloat32, shape);
  check_finite(weight.zeros, "zeros");
  if (weight.grid.kind == GridKind::kOffset) {
    if (weight.nested_zeros) {
      check_nested(*weight.nested_zeros, weight.zeros, "zeros");
    } else {
      check_representable(weight.zeros, "zeros", weight.grid.scale_type);
    }
    return;
  }
  const std::vector<std::uint8_t> bits = weight.bits_of_groups();
  const bool symmetric = weight.grid.symmetry != Symmetry::kAsymmetric;
  const auto zeros = values_of<float>(weight.zeros);
  const auto least_top = static_cast<float>((1 << *std::min_element(bits.begin(), bits.end())) - 1);
  if (!symmetric && kernels::all_whole(zeros.data(), static_cast<std::int64_t>(zeros.size()), least_top)) return;
  for (std::size_t i = 0; i < zeros.size(); ++i) {
    const std::uint8_t group_bits = bits[i % bits.size()];
    const float half = static_cast<float>(1 << (group_bits - 1));
    const float top = static_cast<float>((1 << group_bits) - 1);
    if (symmetric ? zeros[i] != half : zeros[i] < 0.0F || zeros[i] > top || zeros[i] != std::nearbyint(zeros[i])) {
      fail(ErrorCode::kData, "zero {} at position {} does not belong to the grid {}", zeros[i], i, weight.grid.text());
    }
  }
}

void check_outliers(const SparseOutliers& outliers, std::int64_t rows, std::int64_t columns) {
  const std::int64_t count = outliers.values.defined() ? outliers.values.numel() : 0;
  require_tensor(outliers.rows, "rows of outliers", DType::kInt32, {count});
  require_tensor(outliers.columns, "columns of outliers", DType::kInt32, {count});
  require_tensor(outliers.values, "values of outliers", DType::kFloat32, {count});
  check_finite(outliers.values, "outliers");
  check_representable(outliers.values, "outliers", ScaleType::kFloat16);
  const auto row = values_of<std::int32_t>(outliers.rows);
  const auto column = values_of<std::int32_t>(outliers.columns);
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] < 0 || row[i] >= rows || column[i] < 0 || column[i] >= columns) {
      fail(ErrorCode::kData, "outlier {} at row {}, column {} is outside [{}, {}]", i, row[i], column[i], rows,
           columns);
    }
    if (i > 0 && !(row[i - 1] < row[i] || (row[i - 1] == row[i] && column[i - 1] < column[i]))) {
      fail(ErrorCode::kData, "outlier {} at row {}, column {} is out of order", i, row[i], column[i]);
    }
  }
}

void check_weight(const QuantizedWeight& weight) {
  weight.grid.check();
  if (!weight.codes.defined() || weight.codes.dim() != 2) fail(ErrorCode::kData, "codes are missing or not a matrix");
  require_tensor(weight.codes, "codes", DType::kUInt8, shape_of(weight.codes));
  if (!weight.scales.defined() || weight.scales.dim() != 2)
    fail(ErrorCode::kData, "scales are missing or not a matrix");
  // With group indices the columns need not fill the groups in order, but there are as many groups.
  const Shape shape = {weight.rows(), weight.grid.groups(weight.columns())};
  require_tensor(weight.scales, "scales", DType::kFloat32, shape);
  check_finite(weight.scales, "scales");
  if (weight.nested_scales) {
    check_nested(*weight.nested_scales, weight.scales, "scales");
  } else {
    if (weight.grid.scale_type == ScaleType::kE4M3 &&
        !(weight.grid.tensor_scale > 0.0F && std::isfinite(weight.grid.tensor_scale))) {
      fail(ErrorCode::kData, "the scale of the whole weight is {}, expected a positive number",
           weight.grid.tensor_scale);
    }
    if (weight.grid.scale_type != ScaleType::kUint8) {
      check_representable(weight.scales, "scales", weight.grid.scale_type, weight.grid.tensor_scale);
    }
  }
  check_groups(weight, shape[1]);
  check_zeros(weight, shape);
  if (weight.grid.scale_type == ScaleType::kUint8) check_two_levels(weight);
  check_codes(weight, shape[1]);
  if (weight.grid.group == 0) {
    for (const at::Tensor* tensor : {&weight.scales, &weight.zeros}) {
      if (!tensor->defined()) continue;
      const auto values = values_of<float>(*tensor);
      if (!std::all_of(values.begin(), values.end(), [&](float value) { return value == values[0]; })) {
        fail(ErrorCode::kData, "a grid with one scale a tensor has different ones");
      }
    }
  }
  if (weight.outliers) check_outliers(*weight.outliers, weight.rows(), weight.columns());
}

}  // namespace

void QuantizedWeight::check(const std::string& layer) const {
  with_context(layer, [&] { check_weight(*this); });
}

}  // namespace lowbit
