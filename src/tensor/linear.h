#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowbit {

/// How the deterministic product is cut: rows of a sequence a unit, and output columns a unit.
struct LinearTiling {
  std::int64_t rows;
  std::int64_t columns;
};

/// The deterministic product of lowbit/tensor/ops.h with a given tiling; the bits depend on the tiling.
[[nodiscard]] at::Tensor tiled_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                      LinearTiling tiling);

/// Whether `linear` by a slice of the weight's rows gives the bits of these columns of the whole product.
[[nodiscard]] bool columns_stand_alone(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                       bool deterministic);

}  // namespace lowbit
