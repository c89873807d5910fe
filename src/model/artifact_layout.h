#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/containers/tensor_entry.h"
#include "lowbit/formats/quantized_weight.h"
#include "model/code_layout.h"
#include "model/stored_bytes.h"

namespace lowbit {

/// One stored tensor of a quantized weight: `suffix` comes behind the linear's name and a dot ("weight_packed").
struct StoredPart {
  std::string suffix;
  StorageType type = StorageType::kF32;
  std::vector<std::int64_t> shape;
  StoredBytes bytes;
};

/// How the codes of a weight are laid out.
[[nodiscard]] CodeLayout code_layout_of(const QuantizedWeight& weight);

/// The tensors of a quantized weight, as docs/formats.md describes them. The weight must pass its own check.
[[nodiscard]] std::vector<StoredPart> store_weight(const QuantizedWeight& weight);

/// What the tensors do not say themselves: grid, bits of nested scales, rotations. A JSON object.
[[nodiscard]] Json describe_weight(const QuantizedWeight& weight);

/// The grid that a description names. Throws `kData`.
[[nodiscard]] GridSpec described_grid(const Json& description);

/// A stored tensor by suffix, or null.
using FindPart = std::function<const TensorEntry*(std::string_view suffix)>;

/// The inverse of `store_weight`, checked like any foreign data. `description` is what `describe_weight` made. Throws
/// `kData` without the layer's name.
[[nodiscard]] QuantizedWeight restore_weight(const Json& description, const FindPart& find);

/// [out, in] of a stored weight. Throws `kData` without the layer's name.
[[nodiscard]] std::vector<std::int64_t> stored_shape(const FindPart& find);

/// Why compressed-tensors cannot express this weight, or an empty text when it can.
[[nodiscard]] std::string compressed_tensors_obstacle(const QuantizedWeight& weight);

/// All suffixes that belong to a quantized weight; `weight` only when it is of type F8_E4M3.
[[nodiscard]] const std::vector<std::string>& weight_suffixes();

}  // namespace lowbit
