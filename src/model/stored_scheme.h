#pragma once

#include "lowbit/base/json.h"
#include "lowbit/containers/tensor_entry.h"
#include "lowbit/formats/quantized_weight.h"
#include "model/compressed_tensors.h"

namespace lowbit {

/// The scheme of a weight that compressed-tensors can express.
[[nodiscard]] PackedScheme packed_scheme(const QuantizedWeight& weight);

/// The description of a weight that another program has stored under a scheme; the type of the scales is the stored
/// tensor's.
[[nodiscard]] Json describe_packed(const PackedScheme& scheme, const TensorEntry& scales);

}  // namespace lowbit
