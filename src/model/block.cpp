#include "lowbit/model/block.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/rotary.h"
#include "model/compute_options.h"
#include "model/packed_products.h"

namespace lowbit {
namespace {

// The groups in the order of a forward pass.
enum Group : std::size_t { kAttentionInput, kOutputInput, kMlpInput, kDownInput, kGroupCount };

constexpr const char* kGroupNames[] = {"attention_input", "o_input", "mlp_input", "down_input"};

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu: return silu(x);
    case Activation::kGeluTanh: return gelu_tanh(x);
    case Activation::kRelu: return relu(x);
  }
  return x;
}

// [batch, tokens, heads * dim] -> [batch, heads, tokens, dim]
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

std::shared_ptr<const Rotation> made(const std::optional<RotationSpec>& spec, std::int64_t order) {
  return spec ? std::make_shared<const Rotation>(*spec, order) : nullptr;
}

void tell(TapSink* taps, Group group, const at::Tensor& x) {
  if (taps != nullptr) taps->input(kGroupNames[group], x.reshape({-1, x.size(-1)}));
}

}  // namespace

Block::Block(const Architecture& architecture, std::int64_t index, Weights weights, ComputeOptions options)
    : architecture_(architecture),
      index_(index),
      weights_(std::move(weights)),
      options_(options),
      query_key_rotation_(made(architecture.query_key_rotation, architecture.head_dim)),
      down_input_rotation_(made(architecture.down_input_rotation, architecture.intermediate)) {
  check_compute_options(options);
}

std::string Block::name() const { return fmt::format("model.layers.{}", index_); }

const LinearSlot& Block::linear(std::string_view name) const {
  const auto named = [&](const LinearSlot& slot) { return slot.name == name; };
  const auto found = std::find_if(weights_.linears.begin(), weights_.linears.end(), named);
  if (found == weights_.linears.end()) fail(ErrorCode::kInternal, "{} has no linear '{}'", this->name(), name);
  return *found;
}

LinearSlot& Block::linear(std::string_view name) { return const_cast<LinearSlot&>(std::as_const(*this).linear(name)); }

bool Block::mixes_tokens() const {
  return std::any_of(weights_.linears.begin(), weights_.linears.end(), [](const LinearSlot& slot) {
    return std::any_of(slot.executions.begin(), slot.executions.end(),
                       [](const auto& execution) { return execution->mixes_tokens(); });
  });
}

at::Tensor& Block::norm(std::string_view name) { return const_cast<at::Tensor&>(std::as_const(*this).norm(name)); }

const at::Tensor& Block::norm(std::string_view name) const {
  if (name == "input_layernorm") return weights_.input_norm;
  if (name == "post_attention_layernorm") return weights_.post_attention_norm;
  fail(ErrorCode::kInternal, "{} has no norm '{}'", this->name(), name);
}

std::vector<FusedGroup> Block::fused_groups() const {
  const std::int64_t repeats = architecture_.heads / architecture_.kv_heads;
  return {{kGroupNames[kAttentionInput],
           {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
           "input_layernorm",
           "attention"},
          {kGroupNames[kOutputInput], {"self_attn.o_proj"}, "self_attn.v_proj", "self_attn.o_proj", repeats},
          {kGroupNames[kMlpInput], {"mlp.gate_proj", "mlp.up_proj"}, "post_attention_layernorm", "mlp"},
          {kGroupNames[kDownInput],
           {"mlp.down_proj"},
           down_input_rotation_ == nullptr ? "mlp.up_proj" : "",
           "mlp.down_proj"}};
}

at::Tensor Block::heads_output(const at::Tensor& x, const RopeTable& rope, KvCachePolicy* cache) const {
  const auto product = [&](const char* name) { return linear(name).forward(x, options_.deterministic); };
  return attend(product("self_attn.q_proj"), product("self_attn.k_proj"), product("self_attn.v_proj"), rope, cache);
}

at::Tensor Block::attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                         const RopeTable& rope, KvCachePolicy* cache) const {
  const at::Tensor q = split_heads(queries, architecture_.heads);
  const at::Tensor k = split_heads(keys, architecture_.kv_heads);
  const at::Tensor v = split_heads(values, architecture_.kv_heads);
  const std::int64_t tokens = q.size(2);
  const std::int64_t start = cache == nullptr ? 0 : cache->length();
  if (rope.cos.size(0) < start + tokens) {
    fail(ErrorCode::kInternal, "{}: rotary table of {} positions for {}", name(), rope.cos.size(0), start + tokens);
  }
  const at::Tensor cos = to_place(rope.cos.narrow(0, start, tokens), dtype_of(q), q.device());
  const at::Tensor sin = to_place(rope.sin.narrow(0, start, tokens), dtype_of(q), q.device());
  const double scale = 1.0 / std::sqrt(static_cast<double>(architecture_.head_dim));
  at::Tensor query = rotate_pairs(q, cos, sin);
  at::Tensor key = rotate_pairs(k, cos, sin);
  if (query_key_rotation_ != nullptr) {
    query = query_key_rotation_->apply(query);
    key = query_key_rotation_->apply(key);
  }
  // What attention computes in may be wider (`packed_forward`).
  key = to_dtype(key, options_.dtype);
  const at::Tensor value = to_dtype(v, options_.dtype);
  const at::Tensor out = cache != nullptr ? cache->append_and_attend(query, key, value, scale, options_.deterministic)
                                          : causal_attention(query, key, value, scale, architecture_.sliding_window,
                                                             options_.deterministic);
  return out.transpose(1, 2).reshape({q.size(0), tokens, architecture_.heads * architecture_.head_dim});
}

at::Tensor Block::gated(const at::Tensor& x) const {
  const at::Tensor gate = linear("mlp.gate_proj").forward(x, options_.deterministic);
  const at::Tensor up = linear("mlp.up_proj").forward(x, options_.deterministic);
  const at::Tensor activated = activate(gate, architecture_.activation);
  const at::Tensor product = options_.differentiable ? activated.mul(up) : activated.mul_(up);
  return down_input_rotation_ == nullptr ? product : down_input_rotation_->apply(product);
}

at::Tensor Block::attention(const at::Tensor& x, const RopeTable& rope, KvCachePolicy* cache, TapSink* taps) const {
  tell(taps, kAttentionInput, x);
  const at::Tensor joined = heads_output(x, rope, cache);
  tell(taps, kOutputInput, joined);
  return linear("self_attn.o_proj").forward(joined, options_.deterministic);
}

at::Tensor Block::mlp(const at::Tensor& x, TapSink* taps) const {
  tell(taps, kMlpInput, x);
  const at::Tensor inner = gated(x);
  tell(taps, kDownInput, inner);
  return linear("mlp.down_proj").forward(inner, options_.deterministic);
}

BlockState Block::begin(const at::Tensor& hidden) const {
  return {hidden, rms_norm(hidden, weights_.input_norm, architecture_.norm_eps)};
}

void Block::step(BlockState& state, std::size_t group, const RopeTable& rope, KvCachePolicy* cache) const {
  switch (group) {
    case kAttentionInput: state.x = heads_output(state.x, rope, cache); return;
    case kOutputInput:
      state.residual = state.residual.add(linear("self_attn.o_proj").forward(state.x, options_.deterministic));
      state.x = rms_norm(state.residual, weights_.post_attention_norm, architecture_.norm_eps);
      return;
    case kMlpInput: state.x = gated(state.x); return;
    case kDownInput:
      state.residual = state.residual.add(linear("mlp.down_proj").forward(state.x, options_.deterministic));
      state.x = at::Tensor();
      return;
    default:
      fail(ErrorCode::kInternal, "{} has {} groups, not one numbered {}", name(), std::size_t{kGroupCount}, group);
  }
}

at::Tensor Block::forward(const at::Tensor& hidden, const RopeTable& rope, KvCachePolicy* cache, TapSink* taps) const {
  if (taps == nullptr && hidden.numel() > 0 && packed_obstacle(*this).empty()) {
    return packed_forward(hidden, rope, cache);
  }
  BlockState state = begin(hidden);
  for (std::size_t group = 0; group < kGroupCount; ++group) {
    tell(taps, static_cast<Group>(group), state.x);
    step(state, group, rope, cache);
  }
  return state.residual;
}

at::Tensor Block::packed_forward(const at::Tensor& hidden, const RopeTable& rope, KvCachePolicy* cache) const {
  const PackedProducts products(*this);
  BlockSpace own;
  BlockSpace& space = space_ ? *space_ : own;
  const at::Tensor input = to_dtype(hidden, DType::kFloat32).contiguous();
  const std::int64_t rows = input.size(0) * input.size(1);
  products.reserve(rows, space);
  const auto projection = [&](std::int64_t heads) {
    return make_empty({input.size(0), input.size(1), heads * architecture_.head_dim}, DType::kFloat32);
  };
  const at::Tensor q = projection(architecture_.heads);
  const at::Tensor k = projection(architecture_.kv_heads);
  const at::Tensor v = projection(architecture_.kv_heads);
  products.project(input.const_data_ptr<float>(), rows, q.mutable_data_ptr<float>(), k.mutable_data_ptr<float>(),
                   v.mutable_data_ptr<float>(), space);
  const at::Tensor heads = attend(q, k, v, rope, cache).contiguous();
  at::Tensor out = make_empty(shape_of(input), DType::kFloat32);
  products.add_heads(heads.const_data_ptr<float>(), input.const_data_ptr<float>(), rows, out.mutable_data_ptr<float>(),
                     space);
  products.add_mlp(out.mutable_data_ptr<float>(), rows, space);
  return to_dtype(out, options_.dtype);
}

}  // namespace lowbit
