#include "lowbit/formats/quantized_weight.h"

#include <algorithm>

#include "formats/row_decoder.h"
#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/packing.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

std::int64_t word_bits(std::int64_t bits) { return (bits + 31) / 32 * 32; }

std::int64_t nested_bits(const NestedScales& nested, std::int64_t groups) {
  // Codes as a bit stream a row; a scale and a zero for each run and group.
  return nested.codes.size(0) * word_bits(groups * nested.bits) +
         std::int64_t{2} * scale_type_bits(nested.type) * nested.scales.numel();
}

void hash_tensor(Hasher& hasher, const at::Tensor& tensor) {
  hasher.add(static_cast<std::int32_t>(tensor.defined()));
  if (!tensor.defined()) return;
  hasher.add(dtype_name(dtype_of(tensor)));
  hasher.add(tensor.dim());
  for (const std::int64_t size : shape_of(tensor)) hasher.add(size);
  const at::Tensor plain = tensor.contiguous();
  const auto bytes = bytes_of(plain);
  hasher.add_bytes(bytes.data(), bytes.size());
}

void hash_nested(Hasher& hasher, const std::optional<NestedScales>& nested) {
  hasher.add(static_cast<std::int32_t>(nested.has_value()));
  if (!nested) return;
  hash_tensor(hasher, nested->codes);
  hash_tensor(hasher, nested->scales);
  hash_tensor(hasher, nested->zeros);
  hasher.add(nested->bits).add(nested->run);
  if (nested->type != ScaleType::kFloat32) hasher.add(static_cast<std::int32_t>(nested->type));
}

}  // namespace

at::Tensor NestedScales::dequantize() const {
  const auto groups = static_cast<std::size_t>(codes.size(1));
  at::Tensor out = make_empty(shape_of(codes), DType::kFloat32);
  const auto code = values_of<std::uint8_t>(codes);
  const auto scale = values_of<float>(scales);
  const auto zero = values_of<float>(zeros);
  const auto value = mutable_values_of<float>(out);
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::size_t place = i / groups / static_cast<std::size_t>(run) * groups + i % groups;
    value[i] = scale[place] * (static_cast<float>(code[i]) - zero[place]);
  }
  return out;
}

bool QuantizedWeight::natural_groups() const {
  if (!group_index.defined()) return true;
  const auto index = values_of<std::int32_t>(group_index);
  for (std::size_t column = 0; column < index.size(); ++column) {
    const std::int64_t natural = grid.group > 0 ? static_cast<std::int64_t>(column) / grid.group : 0;
    if (index[column] != natural) return false;
  }
  return true;
}

std::vector<std::int32_t> QuantizedWeight::column_groups() const {
  std::vector<std::int32_t> groups(static_cast<std::size_t>(columns()));
  if (group_index.defined()) {
    const auto index = values_of<std::int32_t>(group_index);
    std::copy(index.begin(), index.end(), groups.begin());
    return groups;
  }
  for (std::size_t column = 0; column < groups.size(); ++column) {
    groups[column] = grid.group > 0 ? static_cast<std::int32_t>(static_cast<std::int64_t>(column) / grid.group) : 0;
  }
  return groups;
}

std::vector<std::uint8_t> QuantizedWeight::bits_of_groups() const {
  if (!group_bits.defined()) {
    return std::vector<std::uint8_t>(static_cast<std::size_t>(scales.size(1)), static_cast<std::uint8_t>(grid.bits));
  }
  const auto bits = values_of<std::uint8_t>(group_bits);
  return {bits.begin(), bits.end()};
}

at::Tensor QuantizedWeight::dequantize() const {
  const RowDecoder decoder(*this);
  at::Tensor weight = make_empty(shape_of(codes), DType::kFloat32);
  float* out = mutable_values_of<float>(weight).data();
  parallel_for(rows(), std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, columns())),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) decoder.decode(row, out + row * columns());
               });
  return weight;
}

std::int64_t QuantizedWeight::stored_bits() const {
  const std::int64_t out = rows();
  const std::int64_t groups = scales.size(1);
  const std::vector<std::uint8_t> bits = bits_of_groups();
  std::int64_t row_bits = 0;
  for (const std::int32_t group : column_groups()) row_bits += bits[static_cast<std::size_t>(group)];
  std::int64_t total = out * word_bits(row_bits);

  if (grid.scale_type == ScaleType::kE4M3) total += 32;         // the whole weight's scale
  if (grid.scale_type == ScaleType::kUint8) total += 32 * out;  // the rows'
  const std::int64_t scale_count = grid.group == 0 ? 1 : out * groups;
  total += nested_scales ? nested_bits(*nested_scales, groups) : scale_count * scale_type_bits(grid.scale_type);
  if (grid.kind == GridKind::kOffset) {
    total += nested_zeros ? nested_bits(*nested_zeros, groups) : scale_count * scale_type_bits(grid.scale_type);
  } else if (grid.kind == GridKind::kInteger && grid.symmetry == Symmetry::kAsymmetric) {
    // A column's zeros are a bit stream down the rows; one zero for the whole tensor is a byte; mixed widths take
    // bytes.
    total += grid.group == 0 ? 8 : group_bits.defined() ? 8 * out * groups : word_bits(out * grid.bits) * groups;
  }
  if (!natural_groups()) total += 32 * columns();
  if (group_bits.defined()) total += 8 * groups;
  if (outliers) {
    // Row offsets, columns, float16 values.
    const std::int64_t column_bits = columns() <= 65536 ? 16 : 32;
    total += 32 * (out + 1) + outliers->values.numel() * (column_bits + 16);
  }
  return total;
}

Hash QuantizedWeight::content_hash() const {
  Hasher hasher;
  hasher.add(grid.text()).add(static_cast<std::int32_t>(grid.kind)).add(grid.bits);
  hasher.add(static_cast<std::int32_t>(grid.symmetry)).add(grid.codebook).add(grid.group);
  hasher.add(static_cast<std::int32_t>(grid.scale_type));
  if (grid.scale_type == ScaleType::kE4M3) hasher.add(grid.tensor_scale);
  for (const at::Tensor* tensor : {&codes, &scales, &zeros, &group_index, &group_bits}) hash_tensor(hasher, *tensor);
  hash_nested(hasher, nested_scales);
  hash_nested(hasher, nested_zeros);
  hasher.add(static_cast<std::int32_t>(outliers.has_value()));
  if (outliers) {
    for (const at::Tensor* tensor : {&outliers->rows, &outliers->columns, &outliers->values})
      hash_tensor(hasher, *tensor);
  }
  hasher.add(static_cast<std::uint64_t>(rotations.size()));
  for (const RotationTag& rotation : rotations) {
    hasher.add(static_cast<std::int32_t>(rotation.side)).add(rotation.name).add(rotation.block);
  }
  return hasher.finish();
}

}  // namespace lowbit
