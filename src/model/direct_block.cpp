#include "model/direct_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "lowbit/kernels/together.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"

namespace lowbit {
namespace {

template <typename Number>
void grow(std::vector<Number>& space, std::int64_t count) {
  space.resize(std::max(space.size(), static_cast<std::size_t>(count)));
}

const PackedLinear& packed(const Block& block, std::string_view name) {
  return dynamic_cast<const PackedLinear&>(*block.linear(name).op);
}

}  // namespace

std::string direct_obstacle(const Block& block) {
  const Architecture& a = block.architecture();
  if (!decode_operations_available()) return "the processor has no AVX2";
  if (block.options().dtype != DType::kFloat32) return "activations are not float32";
  if (a.activation != Activation::kSilu) return "the activation is not SiLU";
  if (a.query_key_rotation || a.down_input_rotation) return "the architecture rotates inputs";
  if (a.head_dim % 8 != 0 || a.head_dim > kMostRotated) return fmt::format("heads have {} numbers", a.head_dim);
  for (const LinearSlot& slot : block.linears()) {
    if (dynamic_cast<const PackedLinear*>(slot.op.get()) == nullptr) {
      return fmt::format("'{}.{}' is not packed", block.name(), slot.name);
    }
    if (!slot.executions.empty()) return fmt::format("something runs around '{}.{}'", block.name(), slot.name);
  }
  return "";
}

std::span<const float> DirectBlock::Linear::bias_numbers() const {
  return bias.defined() ? values_of<float>(bias) : std::span<const float>();
}

DirectBlock::DirectBlock(Block& block, std::int64_t sequences, std::int64_t limit, DecodeCache::Room room,
                         DirectSpace& space)
    : block_(block), sequences_(sequences), space_(space) {
  const auto linear = [&](std::string_view name) {
    const PackedLinear& op = packed(block, name);
    return Linear{&op, op.bias().defined() ? to_dtype(op.bias(), DType::kFloat32).contiguous() : at::Tensor()};
  };
  q_ = linear("self_attn.q_proj");
  k_ = linear("self_attn.k_proj");
  v_ = linear("self_attn.v_proj");
  o_ = linear("self_attn.o_proj");
  gate_ = linear("mlp.gate_proj");
  up_ = linear("mlp.up_proj");
  down_ = linear("mlp.down_proj");
  input_norm_ = block.norm("input_layernorm").contiguous();
  mlp_norm_ = block.norm("post_attention_layernorm").contiguous();
  const Architecture& a = block.architecture();
  cache_ = std::make_unique<DecodeCache>(sequences, a.kv_heads, a.head_dim, limit, room);
  grow(space.normalised, sequences * a.hidden);
  grow(space.q, sequences * a.heads * a.head_dim);
  grow(space.heads, sequences * a.heads * a.head_dim);
  grow(space.k, sequences * a.kv_heads * a.head_dim);
  grow(space.v, sequences * a.kv_heads * a.head_dim);
  grow(space.gate, sequences * a.intermediate);
  grow(space.up, sequences * a.intermediate);
  grow(space.scratch, sequences * a.heads * cache_->capacity());
  for (const Linear* each : {&q_, &k_, &v_, &o_, &gate_, &up_, &down_}) {
    const std::size_t bytes = kernels::workspace_bytes(each->op->weight(), each->op->arithmetic(), sequences, {});
    for (auto& workspace : space.workspaces) grow(workspace, static_cast<std::int64_t>(bytes));
  }
}

kernels::Product DirectBlock::product(const Linear& linear, const float* input, float* output, std::size_t workspace,
                                      const float* residual) const {
  const kernels::PackedWeight& weight = linear.op->weight();
  return {weight,
          linear.op->arithmetic(),
          {input, sequences_, weight.columns(), weight.columns()},
          {output, sequences_, weight.rows(), weight.rows()},
          {linear.bias_numbers(), residual, residual == nullptr ? 0 : weight.rows()},
          space_.workspaces[workspace],
          pool_executor(),
          {}};
}

void DirectBlock::attend(const float* cos, const float* sin) {
  const Architecture& a = block_.architecture();
  const DecodeAttention attention{.heads = a.heads,
                                  .kv_heads = a.kv_heads,
                                  .dim = a.head_dim,
                                  .scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim)),
                                  .window = a.sliding_window,
                                  .cos = cos,
                                  .sin = sin,
                                  .q = space_.q.data(),
                                  .k = space_.k.data(),
                                  .v = space_.v.data(),
                                  .out = space_.heads.data(),
                                  .scratch = space_.scratch.data()};
  attention.run(*cache_);
}

void DirectBlock::read(float* hidden, const float* cos, const float* sin) {
  const Architecture& a = block_.architecture();
  float* x = space_.normalised.data();
  rms_norm_rows(hidden, sequences_, a.hidden, input_norm_.const_data_ptr<float>(), a.norm_eps, x);
  const kernels::Product attention_inputs[] = {product(q_, x, space_.q.data(), 0), product(k_, x, space_.k.data(), 1),
                                               product(v_, x, space_.v.data(), 2)};
  kernels::multiply_together(attention_inputs);
  attend(cos, sin);
  kernels::multiply(product(o_, space_.heads.data(), hidden, 0, hidden));
  rms_norm_rows(hidden, sequences_, a.hidden, mlp_norm_.const_data_ptr<float>(), a.norm_eps, x);
  const kernels::Product mlp_inputs[] = {product(gate_, x, space_.gate.data(), 0),
                                         product(up_, x, space_.up.data(), 1)};
  kernels::multiply_together(mlp_inputs);
  silu_product(space_.gate.data(), space_.up.data(), sequences_, a.intermediate);
  kernels::multiply(product(down_, space_.gate.data(), hidden, 0, hidden));
}

}  // namespace lowbit
