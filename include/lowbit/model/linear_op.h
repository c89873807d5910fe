#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// y = x W^T + b, whatever W is made of.
class LinearOp {
 public:
  virtual ~LinearOp() = default;
  /// x [..., tokens, in] -> [..., tokens, out] in the type of x.
  [[nodiscard]] virtual at::Tensor forward(const at::Tensor& x, bool deterministic) const = 0;
  [[nodiscard]] virtual std::int64_t in_features() const = 0;
  [[nodiscard]] virtual std::int64_t out_features() const = 0;
  /// The matrix in float32 and in main memory, [out, in]; a packed one is unpacked.
  [[nodiscard]] virtual at::Tensor dense_weight() const = 0;
  [[nodiscard]] virtual at::Tensor bias() const = 0;  ///< [out] or undefined
  [[nodiscard]] virtual std::int64_t weight_bytes() const = 0;
};

/// `weight` [out, in], `bias` [out] or undefined, both in the type of the computation.
[[nodiscard]] std::shared_ptr<LinearOp> make_float_linear(at::Tensor weight, at::Tensor bias);

/// What runs around one matrix product: activation quantizers, LLM.int8()'s and Tender's decompositions, online Hadamard
/// transforms or scalings. A slot without one calls the product directly.
class LinearExecution {
 public:
  virtual ~LinearExecution() = default;
  /// Must call `product` (zero or more times) on tensors [..., tokens, any width its weight has been cut to].
  [[nodiscard]] virtual at::Tensor run(const at::Tensor& x, const LinearOp& product, bool deterministic) const = 0;
  [[nodiscard]] virtual std::string text() const = 0;
};

/// One named matrix product of a block.
struct LinearSlot {
  std::string name;  ///< within the block: "self_attn.q_proj"
  std::shared_ptr<LinearOp> op;
  std::shared_ptr<const LinearExecution> execution;  ///< null: the bare product
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, bool deterministic) const {
    return execution ? execution->run(x, *op, deterministic) : op->forward(x, deterministic);
  }
};

}  // namespace lowbit
