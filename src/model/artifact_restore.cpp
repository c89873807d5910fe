// restore_weight of artifact_layout.h: tensors of unknown origin back to a QuantizedWeight.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "lowbit/base/error.h"
#include "lowbit/formats/packing.h"
#include "lowbit/tensor/factory.h"
#include "model/artifact_layout.h"
#include "model/artifact_numbers.h"

namespace lowbit {
namespace {

constexpr std::int64_t kLargestSide = std::int64_t{1} << 24;

const TensorEntry& require_part(const FindPart& find, const std::string& suffix) {
  const TensorEntry* entry = find(suffix);
  if (entry == nullptr) fail(ErrorCode::kData, "tensor '{}' is missing", suffix);
  return *entry;
}

void require_shape(const TensorEntry& entry, const Shape& shape) {
  if (entry.shape != shape) {
    fail(ErrorCode::kData, "tensor '{}' is {}, expected {}", entry.name, shape_text(entry.shape), shape_text(shape));
  }
}

template <typename Value>
Value field(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) fail(ErrorCode::kData, "the description has no '{}'", key);
  try {
    return found->get<Value>();
  } catch (const Json::exception&) {
    fail(ErrorCode::kData, "the description's '{}' is {}", key, found->dump());
  }
}

at::Tensor codes_tensor(const Codes& codes, const Shape& shape) {
  at::Tensor out = make_empty(shape, DType::kUInt8);
  std::copy(codes.begin(), codes.end(), mutable_values_of<std::uint8_t>(out).begin());
  return out;
}

at::Tensor int32_tensor(const TensorEntry& entry) {
  std::vector<std::int32_t> narrow;
  for (const std::int64_t value : decode_integers(entry)) {
    if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
      fail(ErrorCode::kData, "tensor '{}' holds {}, expected an index", entry.name, value);
    }
    narrow.push_back(static_cast<std::int32_t>(value));
  }
  return tensor_of(std::span<const std::int32_t>(narrow));
}

NestedScales restore_nested(const Json& description, const std::string& prefix, std::int64_t out, std::int64_t groups,
                            const FindPart& find) {
  NestedScales nested;
  nested.bits = field<int>(description, "bits");
  nested.run = field<std::int64_t>(description, "run");
  if (nested.bits < 1 || nested.bits > 8 || nested.run < 1) {
    fail(ErrorCode::kData, "nested scales of {} bits in runs of {} rows", nested.bits, nested.run);
  }
  const std::int64_t runs = out / nested.run + (out % nested.run != 0 ? 1 : 0);
  const TensorEntry& codes = require_part(find, prefix + "_codes");
  require_shape(codes, {out, packed_words(groups, nested.bits)});
  nested.codes = decode_codes(codes, out, groups, nested.bits);
  const TensorEntry& scales = require_part(find, prefix + "_scales");
  const TensorEntry& zeros = require_part(find, prefix + "_zeros");
  nested.type =
      description.contains("type") ? scale_type_named(field<std::string>(description, "type")) : ScaleType::kFloat32;
  for (const TensorEntry* entry : {&scales, &zeros}) {
    if (scale_type_of(entry->type) != nested.type) {
      fail(ErrorCode::kData, "tensor '{}' has type {}, expected {}", entry->name, storage_type_name(entry->type),
           scale_type_name(nested.type));
    }
  }
  require_shape(scales, {runs, groups});
  require_shape(zeros, {runs, groups});
  nested.scales = decode_floats(scales);
  nested.zeros = decode_floats(zeros);
  return nested;
}

at::Tensor restore_two_levels(const TensorEntry& entry, const Shape& shape, const FindPart& find) {
  const TensorEntry& rows = require_part(find, "weight_row_scale");
  require_shape(rows, {shape[0]});
  const at::Tensor numbers = decode_floats(rows);
  const std::vector<std::int64_t> whole = decode_integers(entry);
  at::Tensor scales = make_empty(shape, DType::kFloat32);
  const auto values = mutable_values_of<float>(scales);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(whole[i]) * values_of<float>(numbers)[i / static_cast<std::size_t>(shape[1])];
  }
  return scales;
}

at::Tensor restore_scales(const std::string& suffix, const GridSpec& grid, const Shape& shape, const FindPart& find) {
  TensorEntry entry = require_part(find, suffix);
  // compressed-tensors keeps the exponents of powers of two as bytes.
  if (grid.scale_type == ScaleType::kE8M0 && entry.type == StorageType::kU8) entry.type = StorageType::kF8E8M0;
  if (scale_type_of(entry.type) != grid.scale_type) {
    fail(ErrorCode::kData, "tensor '{}' has type {}, expected {}", entry.name, storage_type_name(entry.type),
         scale_type_name(grid.scale_type));
  }
  require_shape(entry, grid.group == 0 ? Shape{1} : shape);
  if (grid.scale_type == ScaleType::kUint8) return restore_two_levels(entry, shape, find);
  at::Tensor scales = decode_floats(entry);
  if (grid.scale_type == ScaleType::kE4M3) {
    for (float& scale : mutable_values_of<float>(scales)) scale /= grid.tensor_scale;
  }
  return grid.group == 0 ? scales.view({1, 1}).expand(shape).contiguous() : scales;
}

float restore_tensor_scale(const FindPart& find) {
  const TensorEntry& entry = require_part(find, "weight_global_scale");
  require_shape(entry, {1});
  const at::Tensor value = decode_floats(entry);
  const float scale = values_of<float>(value)[0];
  if (!(scale > 0.0F && std::isfinite(scale))) {
    fail(ErrorCode::kData, "tensor '{}' holds {}, expected a positive number", entry.name, scale);
  }
  return scale;
}

at::Tensor restore_integer_zeros(const QuantizedWeight& weight, const Shape& shape, const FindPart& find) {
  const int bits = weight.grid.bits;
  const double half = 1 << (bits - 1);
  if (weight.grid.symmetry != Symmetry::kAsymmetric) {
    if (!weight.group_bits.defined()) return make_full(shape, half, DType::kFloat32);
    at::Tensor zeros = make_empty(shape, DType::kFloat32);
    const auto group_bits = weight.bits_of_groups();
    const auto values = mutable_values_of<float>(zeros);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(1 << (group_bits[i % group_bits.size()] - 1));
    }
    return zeros;
  }
  const TensorEntry& entry = require_part(find, "weight_zero_point");
  if (weight.grid.group == 0) {
    require_shape(entry, {1});
    return make_full(shape, static_cast<double>(decode_integers(entry)[0]) + half, DType::kFloat32);
  }
  if (weight.group_bits.defined()) {
    require_shape(entry, shape);
    const auto values = decode_integers(entry);
    return to_dtype(tensor_of(std::span<const std::int64_t>(values)), DType::kFloat32).view(shape);
  }
  require_shape(entry, {packed_words(shape[0], bits), shape[1]});
  return to_dtype(codes_tensor(unpack_columns(decode_words(entry), shape[0], shape[1], bits), shape), DType::kFloat32);
}

// Codes of compressed-tensors' floating-point formats, or nothing when they are stored as a bit stream.
std::optional<Codes> byte_codes(const QuantizedWeight& weight, const Shape& shape, const FindPart& find) {
  const TensorEntry* floats = find("weight");
  if (weight.grid.codebook == "e4m3" && floats != nullptr && floats->type == StorageType::kF8E4M3) {
    require_shape(*floats, shape);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(floats->data.data());
    return Codes(bytes, bytes + floats->data.size());
  }
  const TensorEntry* packed = find("weight_packed");
  if (weight.grid.codebook != "e2m1" || packed == nullptr || packed->type != StorageType::kU8) return std::nullopt;
  require_shape(*packed, {shape[0], shape[1] / 2});
  Codes codes;
  for (const std::byte byte : packed->data) {
    codes.push_back(static_cast<std::uint8_t>(byte) & 15U);
    codes.push_back(static_cast<std::uint8_t>(byte) >> 4);
  }
  return codes;
}

at::Tensor unpack_codes(const QuantizedWeight& weight, const Shape& shape, const std::vector<std::int32_t>& groups,
                        const FindPart& find) {
  if (const std::optional<Codes> codes = byte_codes(weight, shape, find)) return codes_tensor(*codes, shape);
  const TensorEntry& entry = require_part(find, "weight_packed");
  const int bits = weight.grid.bits;
  if (!weight.group_bits.defined()) {
    require_shape(entry, {shape[0], packed_words(shape[1], bits)});
    return decode_codes(entry, shape[0], shape[1], bits);
  }
  const auto group_bits = values_of<std::uint8_t>(weight.group_bits);
  std::int64_t row_bits = 0;
  for (const std::int32_t group : groups) row_bits += group_bits[static_cast<std::size_t>(group)];
  require_shape(entry, {shape[0], packed_words(row_bits, 1)});
  const at::Tensor stored = decode_codes(entry, shape[0], row_bits, 1);
  const auto spread = values_of<std::uint8_t>(stored);
  Codes codes(static_cast<std::size_t>(shape[0] * shape[1]), 0);
  std::size_t next = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::uint8_t width = group_bits[static_cast<std::size_t>(groups[i % groups.size()])];
    for (std::uint8_t bit = 0; bit < width; ++bit) codes[i] |= static_cast<std::uint8_t>(spread[next++] << bit);
  }
  return codes_tensor(codes, shape);
}

// Groups, and the bits of each, checked here because the codes cannot be unpacked without them.
std::vector<std::int32_t> restore_groups(QuantizedWeight& weight, const Shape& shape, const FindPart& find) {
  const std::int64_t groups = weight.grid.groups(shape[1]);
  std::vector<std::int32_t> of_column(static_cast<std::size_t>(shape[1]));
  if (const TensorEntry* entry = find("weight_g_idx")) {
    require_shape(*entry, {shape[1]});
    weight.group_index = int32_tensor(*entry);
    const auto index = values_of<std::int32_t>(weight.group_index);
    std::copy(index.begin(), index.end(), of_column.begin());
    for (const std::int32_t group : of_column) {
      if (group >= groups) fail(ErrorCode::kData, "group index {} is outside 0 .. {}", group, groups - 1);
    }
  } else {
    for (std::size_t i = 0; i < of_column.size(); ++i) {
      of_column[i] =
          weight.grid.group > 0 ? static_cast<std::int32_t>(static_cast<std::int64_t>(i) / weight.grid.group) : 0;
    }
  }
  if (const TensorEntry* entry = find("weight_group_bits")) {
    require_shape(*entry, {groups});
    for (const std::int64_t bits : decode_integers(*entry)) {
      if (bits < 1 || bits > 8) fail(ErrorCode::kData, "a group has {} bits, expected 1 to 8", bits);
    }
    weight.group_bits = to_dtype(int32_tensor(*entry), DType::kUInt8);
  }
  return of_column;
}

void restore_outliers(QuantizedWeight& weight, const Shape& shape, const FindPart& find) {
  const TensorEntry* values = find("weight_outlier_values");
  if (values == nullptr) return;
  const TensorEntry& offset_entry = require_part(find, "weight_outlier_offsets");
  const TensorEntry& columns = require_part(find, "weight_outlier_columns");
  require_shape(offset_entry, {shape[0] + 1});
  require_shape(*values, {values->elements()});
  require_shape(columns, values->shape);
  const std::vector<std::int64_t> offsets = decode_integers(offset_entry);
  if (offsets.front() != 0 || offsets.back() != values->elements() || !std::is_sorted(offsets.begin(), offsets.end())) {
    fail(ErrorCode::kData, "tensor '{}' does not count {} outliers", offset_entry.name, values->elements());
  }
  std::vector<std::int32_t> rows;
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    rows.insert(rows.end(), static_cast<std::size_t>(offsets[row + 1] - offsets[row]), static_cast<std::int32_t>(row));
  }
  weight.outliers =
      SparseOutliers{tensor_of(std::span<const std::int32_t>(rows)), int32_tensor(columns), decode_floats(*values)};
}

void restore_rotations(QuantizedWeight& weight, const Json& description) {
  const auto rotations = description.find("rotations");
  if (rotations == description.end()) return;
  for (const Json& rotation : *rotations) {
    const auto side = field<std::string>(rotation, "side");
    if (side != "input" && side != "output") fail(ErrorCode::kData, "a rotation of side '{}'", side);
    weight.rotations.push_back({side == "input" ? RotationTag::Side::kInput : RotationTag::Side::kOutput,
                                field<std::string>(rotation, "name"), field<std::int64_t>(rotation, "block")});
  }
}

}  // namespace

Shape stored_shape(const FindPart& find) {
  Shape shape;
  const TensorEntry* packed = find("weight_packed");
  if (const TensorEntry* floats = find("weight"); floats != nullptr && floats->type == StorageType::kF8E4M3) {
    shape = floats->shape;
  } else if (packed != nullptr && packed->type == StorageType::kU8 && packed->shape.size() == 2) {
    shape = {packed->shape[0], 2 * packed->shape[1]};
  } else {
    const TensorEntry& entry = require_part(find, "weight_shape");
    require_shape(entry, {2});
    shape = decode_integers(entry);
  }
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > kLargestSide || shape[1] > kLargestSide) {
    fail(ErrorCode::kData, "the stored shape says {}, expected two sizes", shape_text(shape));
  }
  return shape;
}

GridSpec described_grid(const Json& description) {
  if (!description.is_object()) fail(ErrorCode::kData, "the description is {}, expected an object", description.dump());
  GridSpec grid;
  grid.kind = grid_kind_named(field<std::string>(description, "kind"));
  grid.bits = field<int>(description, "bits");
  grid.group = field<std::int64_t>(description, "group");
  grid.scale_type = scale_type_named(field<std::string>(description, "scale_type"));
  if (grid.kind == GridKind::kCodebook) {
    grid.codebook = field<std::string>(description, "codebook");
  } else {
    grid.symmetry = symmetry_named(field<std::string>(description, "symmetry"));
  }
  if (description.contains("scale_rule")) {
    grid.scale_rule = scale_rule_named(field<std::string>(description, "scale_rule"));
  }
  if (description.contains("nested_bits")) {
    grid.nested_bits = field<int>(description, "nested_bits");
    grid.nested_run = field<std::int64_t>(description, "nested_run");
  }
  try {
    grid.check();
  } catch (const Error& error) {
    fail(ErrorCode::kData, "{}", error.what());  // a file's mistake, not the user's
  }
  return grid;
}

QuantizedWeight restore_weight(const Json& description, const FindPart& find) {
  QuantizedWeight weight;
  weight.grid = described_grid(description);
  const Shape shape = stored_shape(find);
  const Shape groups = {shape[0], weight.grid.groups(shape[1])};
  const std::vector<std::int32_t> of_column = restore_groups(weight, shape, find);
  weight.codes = unpack_codes(weight, shape, of_column, find);
  if (weight.grid.scale_type == ScaleType::kE4M3) weight.grid.tensor_scale = restore_tensor_scale(find);
  if (description.contains("nested_scales")) {
    weight.nested_scales = restore_nested(description["nested_scales"], "weight_scale", groups[0], groups[1], find);
    weight.scales = weight.nested_scales->dequantize();
  } else {
    weight.scales = restore_scales("weight_scale", weight.grid, groups, find);
  }
  if (weight.grid.kind == GridKind::kInteger) {
    weight.zeros = restore_integer_zeros(weight, groups, find);
  } else if (weight.grid.kind == GridKind::kOffset && description.contains("nested_zeros")) {
    weight.nested_zeros = restore_nested(description["nested_zeros"], "weight_zero", groups[0], groups[1], find);
    weight.zeros = weight.nested_zeros->dequantize();
  } else if (weight.grid.kind == GridKind::kOffset) {
    weight.zeros = restore_scales("weight_zero", weight.grid, groups, find);
  }
  restore_outliers(weight, shape, find);
  restore_rotations(weight, description);
  return weight;
}

}  // namespace lowbit
