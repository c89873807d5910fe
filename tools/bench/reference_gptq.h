#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowbit::bench {

struct ReferenceGptq {
  at::Tensor values;  ///< what stands for the weight, float32 [out, in]
  at::Tensor codes;   ///< float32 [out, in]
};

/// GPTQ's blocked loop as its authors' program has it, in LibTorch's operations: columns of a block one by one, the
/// columns behind the block at its end; asymmetric float32 scales of a group from the weights as of the last block
/// boundary. `upper` is U with U^T U = H^-1, both arguments float32.
[[nodiscard]] ReferenceGptq reference_gptq(const at::Tensor& weight, const at::Tensor& upper, int bits,
                                           std::int64_t group, std::int64_t block);

}  // namespace lowbit::bench
