#include "lowbit/base/error.h"
#include "lowbit/model/block.h"
#include "lowbit/model/runtime_readers.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/tensor/factory.h"
#include "model/load_weight.h"
#include "model/stored_product.h"

namespace lowbit {
namespace {

LinearSlot load_linear(const WeightSource& weights, const std::string& block, const char* name, const Shape& shape,
                       bool bias, const ComputeOptions& options, const RuntimeReaders& readers) {
  const std::string linear = block + "." + name;
  at::Tensor offset = bias ? load_weight(weights, linear + ".bias", {shape[0]}, options) : at::Tensor();
  StoredProduct product = load_product(weights, linear, shape, std::move(offset), options);
  LinearSlot slot{name, std::move(product.op), {}, std::move(product.record)};
  slot.executions = with_context(fmt::format("{}: {}", weights.path().string(), linear),
                                 [&] { return make_executions(product.around, *slot.op, readers); });
  return slot;
}

}  // namespace

std::shared_ptr<Block> load_block(const WeightSource& weights, std::int64_t index, const ComputeOptions& options,
                                  const RuntimeReaders& readers) {
  const Architecture& a = weights.architecture();
  if (index < 0 || index >= a.layers) fail(ErrorCode::kInternal, "block {} of a model with {}", index, a.layers);
  const std::string block = "model.layers." + std::to_string(index);
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t kv = a.kv_heads * a.head_dim;
  const auto slot = [&](const char* name, std::int64_t out, std::int64_t in, bool bias) {
    return load_linear(weights, block, name, {out, in}, bias, options, readers);
  };
  Block::Weights parts;
  parts.input_norm = load_weight(weights, block + ".input_layernorm.weight", {a.hidden}, options);
  parts.post_attention_norm = load_weight(weights, block + ".post_attention_layernorm.weight", {a.hidden}, options);
  parts.linears = {slot("self_attn.q_proj", q, a.hidden, a.attention_bias),
                   slot("self_attn.k_proj", kv, a.hidden, a.attention_bias),
                   slot("self_attn.v_proj", kv, a.hidden, a.attention_bias),
                   slot("self_attn.o_proj", a.hidden, q, a.attention_bias),
                   slot("mlp.gate_proj", a.intermediate, a.hidden, a.mlp_bias),
                   slot("mlp.up_proj", a.intermediate, a.hidden, a.mlp_bias),
                   slot("mlp.down_proj", a.hidden, a.intermediate, a.mlp_bias)};
  return std::make_shared<Block>(a, index, std::move(parts), options);
}

}  // namespace lowbit
