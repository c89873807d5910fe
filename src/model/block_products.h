#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/model/block.h"

namespace lowbit {

/// What products of a block leave in memory for the next one: of a part of the tokens.
struct BlockSpace {
  std::vector<float> normalised, gate, up;
  std::array<std::vector<std::byte>, 3> workspaces;
};

/// The products of a block with what stands before each, on plain float32 memory. `reserve` makes a space fit for the
/// calls below, which allocate nothing.
class BlockProducts {
 public:
  virtual ~BlockProducts() = default;
  virtual void reserve(std::int64_t rows, BlockSpace& space) const = 0;
  /// norm(hidden) -> queries [rows, heads * head_dim], keys and values [rows, kv_heads * head_dim].
  virtual void project(const float* hidden, std::int64_t rows, float* q, float* k, float* v,
                       BlockSpace& space) const = 0;
  /// hidden = residual + the heads' outputs times o_proj; `residual` may be `hidden`.
  virtual void add_heads(const float* heads, const float* residual, std::int64_t rows, float* hidden,
                         BlockSpace& space) const = 0;
  /// hidden += mlp(norm(hidden)).
  virtual void add_mlp(float* hidden, std::int64_t rows, BlockSpace& space) const = 0;
};

/// Why no `BlockProducts` compute what the block does; empty when some do. What its linears are is their affair.
[[nodiscard]] std::string form_obstacle(const Block& block);

}  // namespace lowbit
