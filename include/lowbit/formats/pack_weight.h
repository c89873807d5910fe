#pragma once

#include "lowbit/base/export.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/kernels/api.h"

namespace lowbit LOWBIT_EXPORT {

/// For products on the codes themselves: what `weight.dequantize()` gives is what the result multiplies with. Scales
/// are packed in their grid's type where that has 16 bits, nested ones by their value. Throws `kUnsupported` for a
/// rotated weight, whose inputs must be rotated first.
[[nodiscard]] kernels::PackedWeight pack_weight(const QuantizedWeight& weight);

}  // namespace lowbit
