#pragma once

#include <cstdint>
#include <string>

#include "model/block_products.h"

namespace lowbit {

/// Why a block's products cannot be `FloatProducts`; empty when they can.
[[nodiscard]] std::string float_obstacle(const Block& block);

/// The products of a block whose linears are float32 or bfloat16 and bare, for rows that are one token of a sequence
/// each. In float32 the bits are those of `Block::forward`.
class FloatProducts : public BlockProducts {
 public:
  /// `block` outlives it and keeps its linears.
  explicit FloatProducts(const Block& block);
  void reserve(std::int64_t rows, BlockSpace& space) const override;
  void project(const float* hidden, std::int64_t rows, float* q, float* k, float* v, BlockSpace& space) const override;
  void add_heads(const float* heads, const float* residual, std::int64_t rows, float* hidden,
                 BlockSpace& space) const override;
  void add_mlp(float* hidden, std::int64_t rows, BlockSpace& space) const override;

 private:
  struct Linear {
    at::Tensor weight;  // [out, in]
    at::Tensor bias;    // float32 [out] or undefined
  };
  const Architecture& architecture_;
  Linear q_, k_, v_, o_, gate_, up_, down_;
  at::Tensor input_norm_, mlp_norm_;
};

}  // namespace lowbit
