#include "model/artifact_layout.h"

#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/packing.h"
#include "lowbit/kernels/two_level.h"
#include "lowbit/tensor/factory.h"
#include "model/artifact_numbers.h"

namespace lowbit {
namespace {

template <typename Number>
StoredPart part_of(std::string suffix, StorageType type, Shape shape, const std::vector<Number>& values) {
  return {std::move(suffix), type, std::move(shape), bytes_of_numbers(std::span<const Number>(values))};
}

StoredPart floats_part(std::string suffix, StorageType type, const at::Tensor& values) {
  return {std::move(suffix), type, shape_of(values), encode_floats(values_of<float>(values), type)};
}

// Rows of codes that fill whole words, packed where they will be written from.
StoredPart packed_part(std::span<const std::uint8_t> codes, std::int64_t rows, std::int64_t columns, int bits) {
  const std::int64_t words = packed_words(columns, bits);
  StoredPart part{"weight_packed", StorageType::kI32, {rows, words}, {}};
  part.bytes.resize(static_cast<std::size_t>(rows * words) * sizeof(std::uint32_t));
  pack_rows(codes, rows, columns, bits,
            {reinterpret_cast<std::uint32_t*>(part.bytes.data()), static_cast<std::size_t>(rows * words)});
  return part;
}

// Nothing but codes and plain scales, which is all that compressed-tensors' floating-point formats hold.
bool has_codes_and_scales_only(const QuantizedWeight& weight) {
  return weight.natural_groups() && !weight.group_bits.defined() && !weight.nested_scales && !weight.outliers &&
         weight.rotations.empty();
}

// Two codes a byte, the even column in the low half.
Codes pack_halves(const at::Tensor& codes) {
  const auto values = values_of<std::uint8_t>(codes);
  Codes bytes(values.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(values[2 * i] | (values[2 * i + 1] << 4));
  }
  return bytes;
}

// Rows of codes whose width changes with the column's group; each row fills whole words.
Words pack_mixed_rows(const QuantizedWeight& weight) {
  const auto groups = weight.column_groups();
  const auto group_bits = weight.bits_of_groups();
  Codes spread;  // a code's bits as single-bit codes, lowest first
  std::int64_t row_bits = 0;
  for (const std::int32_t group : groups) row_bits += group_bits[static_cast<std::size_t>(group)];
  const auto codes = values_of<std::uint8_t>(weight.codes);
  spread.reserve(static_cast<std::size_t>(weight.rows() * row_bits));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::uint8_t bits = group_bits[static_cast<std::size_t>(groups[i % groups.size()])];
    for (std::uint8_t bit = 0; bit < bits; ++bit) spread.push_back((codes[i] >> bit) & 1U);
  }
  return pack_rows(spread, weight.rows(), row_bits, 1);
}

void store_nested(std::vector<StoredPart>& parts, const std::string& prefix, const NestedScales& nested) {
  const std::int64_t rows = nested.codes.size(0);
  const std::int64_t groups = nested.codes.size(1);
  parts.push_back(part_of(prefix + "_codes", StorageType::kI32, {rows, packed_words(groups, nested.bits)},
                          pack_rows(values_of<std::uint8_t>(nested.codes), rows, groups, nested.bits)));
  parts.push_back(floats_part(prefix + "_scales", storage_of(nested.type), nested.scales));
  parts.push_back(floats_part(prefix + "_zeros", storage_of(nested.type), nested.zeros));
}

// One number stands for a whole tensor.
at::Tensor shared_number(const QuantizedWeight& weight, const at::Tensor& values) {
  return weight.grid.group == 0 ? values.narrow(0, 0, 1).view({1}) : values;
}

void store_two_levels(std::vector<StoredPart>& parts, const QuantizedWeight& weight) {
  const auto scales = values_of<float>(weight.scales);
  const auto groups = static_cast<std::size_t>(weight.scales.size(1));
  Codes whole;
  std::vector<float> of_rows;
  for (std::size_t first = 0; first < scales.size(); first += groups) {
    const auto row = scales.subspan(first, groups);
    const float of_row = kernels::row_scale(row).value_or(0.0F);  // never of a checked weight
    of_rows.push_back(of_row);
    for (const float scale : row) whole.push_back(static_cast<std::uint8_t>(scale / of_row));
  }
  parts.push_back(part_of("weight_scale", StorageType::kU8, shape_of(weight.scales), whole));
  parts.push_back(part_of("weight_row_scale", StorageType::kF32, {weight.rows()}, of_rows));
}

void store_scales(std::vector<StoredPart>& parts, const QuantizedWeight& weight) {
  const GridSpec& grid = weight.grid;
  if (weight.nested_scales) {
    store_nested(parts, "weight_scale", *weight.nested_scales);
    return;
  }
  if (grid.scale_type == ScaleType::kUint8) {
    store_two_levels(parts, weight);
    return;
  }
  at::Tensor scales = shared_number(weight, weight.scales);
  if (grid.scale_type == ScaleType::kE4M3) {
    scales = scales.clone();
    const Codebook& e4m3 = find_codebook("e4m3");
    for (float& scale : mutable_values_of<float>(scales)) {
      scale = e4m3.table[nearest_code(e4m3, scale * grid.tensor_scale)];
    }
    parts.push_back(part_of("weight_global_scale", StorageType::kF32, {1}, std::vector<float>{grid.tensor_scale}));
  }
  parts.push_back(floats_part("weight_scale", storage_of(grid.scale_type), scales));
  // The same bytes under the type that compressed-tensors gives them.
  if (code_layout_of(weight) == CodeLayout::kMxfp4) parts.back().type = StorageType::kU8;
}

void store_codes(std::vector<StoredPart>& parts, const QuantizedWeight& weight) {
  const std::int64_t out = weight.rows();
  const std::int64_t in = weight.columns();
  const auto codes = values_of<std::uint8_t>(weight.codes);
  switch (code_layout_of(weight)) {
    case CodeLayout::kFloat8:
      parts.push_back(part_of("weight", StorageType::kF8E4M3, {out, in}, Codes(codes.begin(), codes.end())));
      return;
    case CodeLayout::kNvfp4:
    case CodeLayout::kMxfp4:
      parts.push_back(part_of("weight_packed", StorageType::kU8, {out, in / 2}, pack_halves(weight.codes)));
      return;
    case CodeLayout::kPacked: break;
  }
  if (weight.group_bits.defined()) {
    const Words words = pack_mixed_rows(weight);
    const std::int64_t row_words = out == 0 ? 0 : static_cast<std::int64_t>(words.size()) / out;
    parts.push_back(part_of("weight_packed", StorageType::kI32, {out, row_words}, words));
  } else {
    parts.push_back(packed_part(codes, out, in, weight.grid.bits));
  }
  parts.push_back(part_of("weight_shape", StorageType::kI64, {2}, std::vector<std::int64_t>{out, in}));
}

void store_integer_zeros(std::vector<StoredPart>& parts, const QuantizedWeight& weight) {
  const std::int64_t out = weight.rows();
  const std::int64_t groups = weight.scales.size(1);
  const at::Tensor bytes = to_dtype(weight.zeros, DType::kUInt8).contiguous();
  const auto zeros = values_of<std::uint8_t>(bytes);
  if (weight.grid.group == 0) {
    // Signed, as compressed-tensors keeps the zero of a whole tensor.
    const std::vector<std::int8_t> zero = {static_cast<std::int8_t>(zeros[0] - (1 << (weight.grid.bits - 1)))};
    parts.push_back(part_of("weight_zero_point", StorageType::kI8, {1}, zero));
  } else if (weight.group_bits.defined()) {
    parts.push_back(part_of("weight_zero_point", StorageType::kU8, {out, groups}, Codes(zeros.begin(), zeros.end())));
  } else {
    parts.push_back(part_of("weight_zero_point", StorageType::kI32, {packed_words(out, weight.grid.bits), groups},
                            pack_columns(zeros, out, groups, weight.grid.bits)));
  }
}

void store_zeros(std::vector<StoredPart>& parts, const QuantizedWeight& weight) {
  if (weight.grid.kind == GridKind::kInteger && weight.grid.symmetry == Symmetry::kAsymmetric) {
    store_integer_zeros(parts, weight);
  } else if (weight.grid.kind == GridKind::kOffset && weight.nested_zeros) {
    store_nested(parts, "weight_zero", *weight.nested_zeros);
  } else if (weight.grid.kind == GridKind::kOffset) {
    parts.push_back(
        floats_part("weight_zero", storage_of(weight.grid.scale_type), shared_number(weight, weight.zeros)));
  }
}

void store_outliers(std::vector<StoredPart>& parts, const QuantizedWeight& weight) {
  const auto rows = values_of<std::int32_t>(weight.outliers->rows);
  const auto columns = values_of<std::int32_t>(weight.outliers->columns);
  const auto count = static_cast<std::int64_t>(rows.size());
  std::vector<std::int32_t> offsets(static_cast<std::size_t>(weight.rows()) + 1, 0);
  for (const std::int32_t row : rows) ++offsets[static_cast<std::size_t>(row) + 1];
  for (std::size_t row = 1; row < offsets.size(); ++row) offsets[row] += offsets[row - 1];
  parts.push_back(part_of("weight_outlier_offsets", StorageType::kI32, {weight.rows() + 1}, offsets));
  if (weight.columns() <= 65536) {
    parts.push_back(part_of("weight_outlier_columns", StorageType::kU16, {count},
                            std::vector<std::uint16_t>(columns.begin(), columns.end())));
  } else {
    parts.push_back(part_of("weight_outlier_columns", StorageType::kI32, {count},
                            std::vector<std::int32_t>(columns.begin(), columns.end())));
  }
  parts.push_back(floats_part("weight_outlier_values", StorageType::kF16, weight.outliers->values));
}

}  // namespace

CodeLayout code_layout_of(const QuantizedWeight& weight) {
  const GridSpec& grid = weight.grid;
  const std::int64_t columns = weight.columns();
  if (grid.kind != GridKind::kCodebook || !has_codes_and_scales_only(weight)) return CodeLayout::kPacked;
  const bool float_scales = grid.scale_type != ScaleType::kE8M0 && grid.scale_type != ScaleType::kE4M3;
  // Rows of whole words, so that a row takes the same bits in every layout.
  if (grid.codebook == "e4m3" && float_scales && grid.groups(columns) == 1 && columns % 4 == 0) {
    return CodeLayout::kFloat8;
  }
  if (grid.codebook != "e2m1" || grid.group < 1 || columns % grid.group != 0) return CodeLayout::kPacked;
  if (grid.scale_type == ScaleType::kE4M3 && grid.group == 16) return CodeLayout::kNvfp4;
  if (grid.scale_type == ScaleType::kE8M0 && grid.group == 32) return CodeLayout::kMxfp4;
  return CodeLayout::kPacked;
}

const std::vector<std::string>& weight_suffixes() {
  static const std::vector<std::string> suffixes = {"weight_packed",
                                                    "weight_scale",
                                                    "weight_shape",
                                                    "weight_zero_point",
                                                    "weight_g_idx",
                                                    "weight_group_bits",
                                                    "weight_scale_codes",
                                                    "weight_scale_scales",
                                                    "weight_scale_zeros",
                                                    "weight_zero",
                                                    "weight_zero_codes",
                                                    "weight_zero_scales",
                                                    "weight_zero_zeros",
                                                    "weight_outlier_offsets",
                                                    "weight_outlier_columns",
                                                    "weight_outlier_values",
                                                    "weight_global_scale",
                                                    "weight_row_scale",
                                                    "weight"};
  return suffixes;
}

std::vector<StoredPart> store_weight(const QuantizedWeight& weight) {
  std::vector<StoredPart> parts;
  store_codes(parts, weight);
  store_scales(parts, weight);
  store_zeros(parts, weight);
  if (!weight.natural_groups()) {
    parts.push_back(part_of("weight_g_idx", StorageType::kI32, {weight.columns()}, weight.column_groups()));
  }
  if (weight.group_bits.defined()) {
    parts.push_back(part_of("weight_group_bits", StorageType::kU8, {weight.scales.size(1)}, weight.bits_of_groups()));
  }
  if (weight.outliers) store_outliers(parts, weight);
  return parts;
}

Json describe_weight(const QuantizedWeight& weight) {
  const auto nested = [](const std::optional<NestedScales>& scales) {
    return Json{{"bits", scales->bits}, {"run", scales->run}, {"type", scale_type_name(scales->type)}};
  };
  Json description = {{"kind", grid_kind_name(weight.grid.kind)},
                      {"bits", weight.grid.bits},
                      {"group", weight.grid.group},
                      {"scale_type", scale_type_name(weight.grid.scale_type)}};
  if (weight.grid.kind == GridKind::kCodebook) {
    description["codebook"] = weight.grid.codebook;
  } else {
    description["symmetry"] = symmetry_name(weight.grid.symmetry);
  }
  if (weight.grid.scale_rule != ScaleRule::kAbsmax) description["scale_rule"] = scale_rule_name(weight.grid.scale_rule);
  if (weight.grid.nested_bits > 0) {
    description["nested_bits"] = weight.grid.nested_bits;
    description["nested_run"] = weight.grid.nested_run;
  }
  if (weight.nested_scales) description["nested_scales"] = nested(weight.nested_scales);
  if (weight.nested_zeros) description["nested_zeros"] = nested(weight.nested_zeros);
  for (const RotationTag& rotation : weight.rotations) {
    description["rotations"].push_back({{"side", rotation.side == RotationTag::Side::kInput ? "input" : "output"},
                                        {"name", rotation.name},
                                        {"block", rotation.block}});
  }
  return description;
}

std::string compressed_tensors_obstacle(const QuantizedWeight& weight) {
  const GridSpec& grid = weight.grid;
  if (code_layout_of(weight) != CodeLayout::kPacked) return "";
  if (grid.kind != GridKind::kInteger) return fmt::format("the grid {} is not an integer one", grid.text());
  if (grid.scale_type == ScaleType::kE8M0) return "scales are powers of two (e8m0)";
  if (grid.scale_type == ScaleType::kE4M3) return "scales are of type e4m3 beside one of the whole weight";
  if (grid.scale_type == ScaleType::kUint8) return "scales are whole numbers beside one number a row (uint8)";
  if (grid.group > 0 && weight.columns() > grid.group && weight.columns() % grid.group != 0) {
    return fmt::format("{} columns are not a multiple of the group {}", weight.columns(), grid.group);
  }
  if (!weight.natural_groups()) return "groups do not lie in the order of the columns (act-order)";
  if (weight.group_bits.defined()) return "groups have different bits";
  if (weight.nested_scales || weight.nested_zeros) return "scales are themselves quantized";
  if (weight.outliers) return "outliers are kept beside the grid";
  if (!weight.rotations.empty()) return "inputs or outputs are rotated at run time";
  return "";
}

}  // namespace lowbit
