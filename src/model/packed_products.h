#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lowbit/kernels/api.h"
#include "lowbit/model/block.h"
#include "model/packed_op.h"

namespace lowbit {

/// What products of a block leave in memory for the next one: of a part of the tokens.
struct BlockSpace {
  std::vector<float> normalised, gate, up;
  std::array<std::vector<std::byte>, 3> workspaces;
};

/// Why a block's products cannot be `PackedProducts`; empty when they can.
[[nodiscard]] std::string packed_obstacle(const Block& block);

/// The products of a block whose linears are packed and bare, in float32. What stands before a product, a norm or
/// SiLU, is computed as its input is rounded, once for products of one input. The bits are those of the pieces.
/// `reserve` makes a space fit for the calls below, which allocate nothing.
class PackedProducts {
 public:
  /// `block` outlives it and keeps its linears.
  explicit PackedProducts(const Block& block);

  void reserve(std::int64_t rows, BlockSpace& space) const;
  /// norm(hidden) -> queries [rows, heads * head_dim], keys and values [rows, kv_heads * head_dim].
  void project(const float* hidden, std::int64_t rows, float* q, float* k, float* v, BlockSpace& space) const;
  /// hidden = residual + the heads' outputs times o_proj; `residual` may be `hidden`.
  void add_heads(const float* heads, const float* residual, std::int64_t rows, float* hidden, BlockSpace& space) const;
  /// hidden += mlp(norm(hidden)).
  void add_mlp(float* hidden, std::int64_t rows, BlockSpace& space) const;

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
