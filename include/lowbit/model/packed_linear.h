#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "lowbit/base/export.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/kernels/api.h"
#include "lowbit/model/linear_op.h"

namespace lowbit LOWBIT_EXPORT {

/// The product with a quantized weight as it is packed: the matrix in floats never exists. Its bits depend on nothing
/// but the row, so `deterministic` makes no difference. `bias` [out] or undefined. Throws `kUnsupported` for weights
/// that `pack_weight` or the arithmetic refuses.
[[nodiscard]] std::shared_ptr<LinearOp> make_packed_linear(const QuantizedWeight& weight, at::Tensor bias,
                                                           kernels::Arithmetic arithmetic);

}  // namespace lowbit
