#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lowbit/kernels/api.h"
#include "model/block_products.h"
#include "model/packed_op.h"

namespace lowbit {

/// Why a block's products cannot be `PackedProducts`; empty when they can.
[[nodiscard]] std::string packed_obstacle(const Block& block);

/// The products of a block whose linears are packed and bare, in float32. What stands before a product, a norm or
/// SiLU, is computed as its input is rounded, once for products of one input. Of a block in float32 the bits are those
/// of the pieces.
class PackedProducts : public BlockProducts {
 public:
  /// `block` outlives it and keeps its linears.
  explicit PackedProducts(const Block& block);

  void reserve(std::int64_t rows, BlockSpace& space) const override;
  void project(const float* hidden, std::int64_t rows, float* q, float* k, float* v, BlockSpace& space) const override;
  void add_heads(const float* heads, const float* residual, std::int64_t rows, float* hidden,
                 BlockSpace& space) const override;
  void add_mlp(float* hidden, std::int64_t rows, BlockSpace& space) const override;

 private:
  struct Linear {
    const PackedLinear* op = nullptr;
    at::Tensor bias;  // float32, held for `bias_numbers`
    [[nodiscard]] std::span<const float> bias_numbers() const;
  };
  [[nodiscard]] kernels::Product product(const Linear& linear, kernels::Input input, float* output,
                                         std::span<std::byte> workspace, const float* residual = nullptr) const;
  const Architecture& architecture_;
  Linear q_, k_, v_, o_, gate_, up_, down_;
  at::Tensor input_norm_, mlp_norm_;
};

}  // namespace lowbit
