#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/config/node.h"
#include "lowbit/model/product_record.h"

namespace lowbit LOWBIT_EXPORT {

/// Takes a product's outputs where they would fill too much memory, in float32: those of a row from `first` on, in
/// parts of `kernels::kOutputPart` (the last may be shorter), each part once, on several threads at a time.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  virtual void take(std::int64_t row, std::int64_t first, std::span<const float> part) = 0;
};

/// Hands outputs [rows, out] that are in memory to `sink`.
void take_in_parts(const at::Tensor& outputs, OutputSink& sink);

/// y = x W^T + b, whatever W is made of.
class LinearOp {
 public:
  virtual ~LinearOp() = default;
  /// x [..., tokens, in] -> [..., tokens, out] in the type of x.
  [[nodiscard]] virtual at::Tensor forward(const at::Tensor& x, bool deterministic) const = 0;
  /// The same numbers for x [rows, in], in parts. By default all of them are in memory first.
  virtual void forward_parts(const at::Tensor& x, bool deterministic, OutputSink& sink) const;
  [[nodiscard]] virtual std::int64_t in_features() const = 0;
  [[nodiscard]] virtual std::int64_t out_features() const = 0;
  /// The matrix in float32 and in main memory, [out, in]; a packed one is unpacked.
  [[nodiscard]] virtual at::Tensor dense_weight() const = 0;
  /// Its rows [first, first + count), where they can be had without making the others; else nothing.
  [[nodiscard]] virtual std::optional<at::Tensor> dense_rows(std::int64_t first, std::int64_t count) const {
    (void)first, (void)count;
    return std::nullopt;
  }
  /// The matrix as it is multiplied, [out, in]; undefined where it is none of floats.
  [[nodiscard]] virtual at::Tensor float_weight() const { return {}; }
  [[nodiscard]] virtual at::Tensor bias() const = 0;  ///< [out] or undefined
  [[nodiscard]] virtual std::int64_t weight_bytes() const = 0;
};

/// `weight` [out, in], `bias` [out] or undefined, both in the type of the computation.
[[nodiscard]] std::shared_ptr<LinearOp> make_float_linear(at::Tensor weight, at::Tensor bias);

/// What an artifact keeps of something that acts while a model runs, enough to make it again: the name under which its
/// reader is known, its settings with every default written out, and its tensors (float32, int8, uint8, int32, int64).
struct RuntimeRecord {
  std::string name;
  ConfigNode settings;
  std::map<std::string, at::Tensor> tensors;  ///< names are stored behind the linear's: "input_scale"
};

/// What runs around one matrix product: activation quantizers, LLM.int8()'s and Tender's decompositions, online
/// Hadamard transforms or scalings.
class LinearExecution {
 public:
  virtual ~LinearExecution() = default;
  /// For those that only map the input, exactly: x -> what the product sees. Weights are solved for inputs mapped so.
  [[nodiscard]] virtual at::Tensor map_input(const at::Tensor& x) const { return x; }
  /// May call `product` (zero or more times) on tensors [..., tokens, any width its weight has been cut to].
  [[nodiscard]] virtual at::Tensor run(const at::Tensor& x, const LinearOp& product, bool deterministic) const {
    return product.forward(map_input(x), deterministic);
  }
  /// True when what a token becomes depends on the tokens that are computed with it, so that tokens computed together
  /// are not those computed one by one.
  [[nodiscard]] virtual bool mixes_tokens() const { return false; }
  [[nodiscard]] virtual RuntimeRecord record() const = 0;
  [[nodiscard]] virtual std::string text() const = 0;
};

/// One named matrix product of a block.
struct LinearSlot {
  std::string name;  ///< within the block: "self_attn.q_proj"
  std::shared_ptr<LinearOp> op;
  /// In the order in which the input meets them; the product that each sees holds those behind it. Empty: the bare
  /// product.
  std::vector<std::shared_ptr<const LinearExecution>> executions;
  ProductRecord record = {};  ///< of a weight that is stored quantized; else without a name
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, bool deterministic) const;
  /// Through `map_input` of all executions.
  [[nodiscard]] at::Tensor mapped_input(at::Tensor x) const;
};

}  // namespace lowbit
