#include "lowbit/formats/pack_weight.h"

#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"

namespace lowbit {

namespace {

kernels::Decoding decoding_of(GridKind kind) {
  switch (kind) {
    case GridKind::kInteger: return kernels::Decoding::kWholeZero;
    case GridKind::kOffset: return kernels::Decoding::kRealZero;
    case GridKind::kCodebook: break;
  }
  return kernels::Decoding::kTable;
}

// An E8M0 scale is a power of two, which bfloat16 holds; one of E4M3 is divided by the weight's own.
kernels::ScaleStorage storage_of(const QuantizedWeight& weight) {
  if (weight.nested_scales) return kernels::ScaleStorage::kFloat32;
  switch (weight.grid.scale_type) {
    case ScaleType::kFloat16: return kernels::ScaleStorage::kFloat16;
    case ScaleType::kBFloat16:
    case ScaleType::kE8M0: return kernels::ScaleStorage::kBFloat16;
    case ScaleType::kUint8: return kernels::ScaleStorage::kUint8;
    case ScaleType::kFloat32:
    case ScaleType::kE4M3: break;
  }
  return kernels::ScaleStorage::kFloat32;
}

}  // namespace

kernels::PackedWeight pack_weight(const QuantizedWeight& weight) {
  if (!weight.rotations.empty()) {
    fail(ErrorCode::kUnsupported, "packing: the weight is rotated by '{}', and packed products rotate no input",
         weight.rotations.front().name);
  }
  // Held until packed.
  const at::Tensor codes = weight.codes.contiguous();
  const at::Tensor scales = weight.scales.contiguous();
  const at::Tensor zeros = weight.zeros.defined() ? weight.zeros.contiguous() : weight.zeros;
  const std::vector<std::int32_t> groups = weight.column_groups();
  kernels::CanonicalWeight canonical;
  canonical.rows = weight.rows();
  canonical.columns = weight.columns();
  canonical.groups = scales.size(1);
  canonical.bits = weight.grid.bits;
  canonical.decoding = decoding_of(weight.grid.kind);
  canonical.scale_storage = storage_of(weight);
  canonical.group = weight.grid.group > 0 ? weight.grid.group : weight.columns();
  canonical.codes = values_of<std::uint8_t>(codes);
  canonical.scales = values_of<float>(scales);
  if (canonical.decoding == kernels::Decoding::kTable) {
    canonical.table = find_codebook(weight.grid.codebook).table;
  } else {
    canonical.zeros = values_of<float>(zeros);
  }
  if (!weight.natural_groups()) canonical.group_index = groups;
  if (weight.outliers) {
    canonical.outliers = {values_of<std::int32_t>(weight.outliers->rows),
                          values_of<std::int32_t>(weight.outliers->columns), values_of<float>(weight.outliers->values)};
  }
  return kernels::PackedWeight::pack(canonical, pool_executor());
}

}  // namespace lowbit
