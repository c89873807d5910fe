#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "lowbit/model/block.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {

/// A linear of a weight source as it is to be carried out.
struct StoredProduct {
  std::shared_ptr<LinearOp> op;
  std::vector<RuntimeRecord> around;  ///< what is not part of the product itself
  ProductRecord record;               ///< without a name for a weight that is stored in floats
};

/// Reads the weight `shape` of `linear` (without ".weight"), float or packed as `options.execution` says; `bias` may be
/// undefined. A packed product rounds the inputs itself where the last record asks for signed integers of 8 bits per
/// token with scale max|x| / 127 and zero points are whole: 'int8'. Inputs that nothing rounds or maps are taken by
/// 'int16', and by 'float32' for real zero points and tables; so are those that something else has rounded, which are
/// not to be rounded again. GPUs have 'int8', 'int16', 'float8' for E4M3 per token and, where the computation is in
/// bfloat16, products of the inputs as they are. Throws `kUnsupported` for a weight that no kernel multiplies with
/// (with kAuto it is simulated, and the record says why), `kDevice` for kernels that cannot be loaded, `kInternal` when
/// the product is not what the certificate allows.
[[nodiscard]] StoredProduct load_product(const WeightSource& weights, const std::string& linear, const Shape& shape,
                                         at::Tensor bias, const ComputeOptions& options);

}  // namespace lowbit
