#include "model/stored_scheme.h"

#include "model/artifact_layout.h"
#include "model/artifact_numbers.h"

namespace lowbit {

PackedScheme packed_scheme(const QuantizedWeight& weight) {
  const GridSpec& grid = weight.grid;
  const std::int64_t group = grid.group > 0 && grid.group >= weight.columns() ? -1 : grid.group;
  const CodeLayout layout = code_layout_of(weight);
  if (layout == CodeLayout::kPacked) return {grid.bits, grid.symmetry != Symmetry::kAsymmetric, group, layout};
  return {grid.bits, true, layout == CodeLayout::kFloat8 ? group : grid.group, layout};
}

Json describe_packed(const PackedScheme& scheme, const TensorEntry& scales) {
  Json description = {{"bits", scheme.bits}, {"group", scheme.group}};
  if (scheme.layout == CodeLayout::kPacked) {
    description["kind"] = "integer";
    description["symmetry"] = symmetry_name(scheme.symmetric ? Symmetry::kSymOffset : Symmetry::kAsymmetric);
  } else {
    description["kind"] = "codebook";
    description["codebook"] = scheme.layout == CodeLayout::kFloat8 ? "e4m3" : "e2m1";
  }
  const ScaleType type = scheme.layout == CodeLayout::kMxfp4 && scales.type == StorageType::kU8
                             ? ScaleType::kE8M0
                             : scale_type_of(scales.type);
  description["scale_type"] = scale_type_name(type);
  return description;
}

}  // namespace lowbit
