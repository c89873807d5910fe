#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/model/architecture.h"
#include "lowbit/model/linear_op.h"
#include "lowbit/model/product_record.h"
#include "lowbit/tensor/dtype.h"

namespace lowbit LOWBIT_EXPORT {

class WeightSource;
struct BlockSpace;

struct ComputeOptions {
  DType dtype = DType::kFloat32;  ///< kFloat32 or kBFloat16
  /// Results do not depend on batch, threads or order. Promised on the CPU only, and refused elsewhere.
  bool deterministic = true;
  /// Functional ATen only (no in-place, no packed kernel), so that gradients flow through a block.
  bool differentiable = false;
  /// Where weights and activations lie. Other devices than the CPU compute with LibTorch's own operators, whose bits
  /// may change with shapes; token ids, statistics, solvers, sampling and scores stay in main memory.
  at::Device device = at::kCPU;
  /// Of linears that the model's file stores quantized. Packed products run on the CPU and on GPUs of NVIDIA.
  Execution execution = Execution::kSimulated;
  /// Packed products are compared with their decoded weights as they are made (`certify_product`).
  bool certify = true;
};

/// Keys and values of one layer. What is kept, and in which form, is the policy's affair (float, KIVI, WKVQuant ...).
class KvCachePolicy {
 public:
  virtual ~KvCachePolicy() = default;
  /// Takes the new keys (after RoPE) and values, [batch, kv_heads, tokens, head_dim], and returns attention's output
  /// for the queries [batch, heads, tokens, head_dim] of the same tokens, in decode order. Keys and values are kept in
  /// the type that they come in; attention computes in that of the queries.
  [[nodiscard]] virtual at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                     double scale, bool deterministic) = 0;
  /// The same tokens one at a time: each finds the cache as the token before it left it. Whoever overrides this does at
  /// once what so many calls with one token do.
  [[nodiscard]] virtual at::Tensor append_and_attend_each(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                          double scale, bool deterministic);
  [[nodiscard]] virtual std::int64_t length() const = 0;
  /// Of what is kept of the tokens, without room for further ones.
  [[nodiscard]] virtual std::int64_t bytes() const = 0;
};
[[nodiscard]] std::unique_ptr<KvCachePolicy> make_float_kv_cache(std::int64_t window);

/// cos and sin of every position of a sequence, [length, head_dim], in float32: made once and shared by all blocks.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};
[[nodiscard]] RopeTable make_rope_table(const Architecture& architecture, std::int64_t length);

/// Called with the input of each group of linears during a forward pass: x [tokens, in] in the type of the computation.
class TapSink {
 public:
  virtual ~TapSink() = default;
  virtual void input(std::string_view group, const at::Tensor& x) = 0;
};

/// Linears that read the same input. The unit of statistics, of true-sequential solving and of joint scaling.
struct FusedGroup {
  std::string name;                  ///< the tap: "attention_input", "o_input", "mlp_input", "down_input"
  std::vector<std::string> linears;  ///< slot names
  /// What a scale of this input folds into: a norm ("input_layernorm"), a linear ("mlp.up_proj"), or "" where a
  /// rotation stands between (then nothing can take a scale in).
  std::string producer;
  std::string inspected;  ///< the module whose output is the target: "attention", "mlp", or the linear itself
  /// Rows of the producer that one column of these linears comes from: 1, or the number of query heads that share a KV
  /// head when the producer is v_proj (a scale must then be equal on those columns).
  std::int64_t repeats = 1;
};

/// A forward pass of a block between two groups of linears. `x` is the input of the next group, [batch, tokens, in];
/// `residual` what the coming module's output is added to, [batch, tokens, hidden].
struct BlockState {
  at::Tensor residual;
  at::Tensor x;
};

/// One decoder layer: normalisation, attention, normalisation, MLP. Weights are held in the type of the computation.
class Block {
 public:
  struct Weights {
    at::Tensor input_norm;           ///< [hidden]
    at::Tensor post_attention_norm;  ///< [hidden]
    std::vector<LinearSlot> linears;
  };
  Block(const Architecture& architecture, std::int64_t index, Weights weights, ComputeOptions options);

  /// hidden [batch, tokens, hidden] -> the same. `cache` null: the tokens are a whole sequence from position 0;
  /// else they follow what the cache holds. `rope` must cover all positions.
  [[nodiscard]] at::Tensor forward(const at::Tensor& hidden, const RopeTable& rope, KvCachePolicy* cache = nullptr,
                                   TapSink* taps = nullptr) const;
  /// The same pass in steps, so that a driver can solve one group before its successor's input is computed: `begin`
  /// gives the input of group 0; `step(state, g, ...)` runs the linears of group g and all up to the input of group
  /// g+1. After the last group `state.residual` is the block's output. `forward` is begin and all steps.
  [[nodiscard]] BlockState begin(const at::Tensor& hidden) const;
  void step(BlockState& state, std::size_t group, const RopeTable& rope, KvCachePolicy* cache = nullptr) const;
  /// Parts, for methods that need a module's output: the normalised input -> what is added to the residual.
  [[nodiscard]] at::Tensor attention(const at::Tensor& x, const RopeTable& rope, KvCachePolicy* cache,
                                     TapSink* taps) const;
  [[nodiscard]] at::Tensor mlp(const at::Tensor& x, TapSink* taps) const;

  [[nodiscard]] std::int64_t index() const { return index_; }
  /// "model.layers.3"
  [[nodiscard]] std::string name() const;
  [[nodiscard]] const Architecture& architecture() const { return architecture_; }
  [[nodiscard]] const ComputeOptions& options() const { return options_; }
  /// Whether any of its linears does (`LinearExecution::mixes_tokens`).
  [[nodiscard]] bool mixes_tokens() const;
  /// In the order in which a forward pass meets them, so that solving them one after the other is true-sequential.
  [[nodiscard]] std::vector<FusedGroup> fused_groups() const;
  [[nodiscard]] std::vector<LinearSlot>& linears() { return weights_.linears; }
  [[nodiscard]] const std::vector<LinearSlot>& linears() const { return weights_.linears; }
  /// Throws `kInternal` for an unknown name.
  [[nodiscard]] LinearSlot& linear(std::string_view name);
  [[nodiscard]] const LinearSlot& linear(std::string_view name) const;
  /// "input_layernorm" or "post_attention_layernorm".
  [[nodiscard]] at::Tensor& norm(std::string_view name);
  [[nodiscard]] const at::Tensor& norm(std::string_view name) const;
  /// Memory that passes through packed blocks leave to each other, one pass at a time. Without it each takes its own.
  void share_space(std::shared_ptr<BlockSpace> space) { space_ = std::move(space); }

 private:
  // The pass of packed products, each with what stands before it in one pass over its input. In float32: of a model in
  // bfloat16, what comes and goes, keys and values are rounded to it, and nothing else.
  [[nodiscard]] at::Tensor packed_forward(const at::Tensor& hidden, const RopeTable& rope, KvCachePolicy* cache) const;
  // Projections [batch, tokens, heads * head_dim] -> the heads' outputs side by side.
  [[nodiscard]] at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RopeTable& rope,
                                  KvCachePolicy* cache) const;
  // Normalised input -> the heads' outputs side by side, [batch, tokens, heads * head_dim].
  [[nodiscard]] at::Tensor heads_output(const at::Tensor& x, const RopeTable& rope, KvCachePolicy* cache) const;
  // Normalised input -> activation(gate) * up, rotated where the architecture says so, [batch, tokens, intermediate].
  [[nodiscard]] at::Tensor gated(const at::Tensor& x) const;
  Architecture architecture_;
  std::int64_t index_;
  Weights weights_;
  ComputeOptions options_;
  std::shared_ptr<const Rotation> query_key_rotation_;   // null: none
  std::shared_ptr<const Rotation> down_input_rotation_;  // null: none
  std::shared_ptr<BlockSpace> space_;
};

struct RuntimeReaders;
/// Reads one block. A linear that the source stores quantized is dequantized to a float one, or packed, as
/// `options.execution` says; what the source keeps to run around a product is made by `readers`, unless a packed
/// product does it itself. Throws `kData`, `kUnsupported` when `readers` do not know it or when it cannot run packed.
[[nodiscard]] std::shared_ptr<Block> load_block(const WeightSource& weights, std::int64_t index,
                                                const ComputeOptions& options, const RuntimeReaders& readers);

}  // namespace LOWBIT_EXPORT
