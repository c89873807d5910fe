// Ashkboos et al., "QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs", arXiv 2404.00456. Weights are turned in
// float64 and rounded once.
#include "quantization/transforms/quarot.h"

#include "lowbit/base/error.h"
#include "lowbit/base/log.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kBias = ".bias";

bool reads_attention_input(std::string_view linear) {
  return linear.ends_with(".q_proj") || linear.ends_with(".k_proj") || linear.ends_with(".v_proj");
}
bool reads_mlp_input(std::string_view linear) { return linear.ends_with(".gate_proj") || linear.ends_with(".up_proj"); }
bool writes_residual(std::string_view linear) { return linear.ends_with(".o_proj") || linear.ends_with(".down_proj"); }

// The norm whose output a linear reads; empty for those that read something else.
std::string norm_before(const std::string& linear) {
  if (linear == "lm_head") return "model.norm.weight";
  const std::string block = linear.substr(0, linear.find('.', std::string_view("model.layers.").size()) + 1);
  if (reads_attention_input(linear)) return block + "input_layernorm.weight";
  if (reads_mlp_input(linear)) return block + "post_attention_layernorm.weight";
  return "";
}

// Q^T W: the outputs of a linear turned, in runs of `rotation.order()`.
at::Tensor turn_rows(const at::Tensor& weight, const Rotation& rotation) {
  const at::Tensor runs = weight.view({-1, rotation.order(), weight.size(1)});
  return rotation.apply(runs.transpose(1, 2)).transpose(1, 2).reshape(weight.sizes());
}

// W Q in runs of `rotation.order()` columns; of a bias Q^T b.
at::Tensor turn_columns(const at::Tensor& tensor, const Rotation& rotation) {
  return rotation.apply(tensor.reshape({-1, rotation.order()})).view(tensor.sizes());
}

void report(const char* what, const RotationSpec& spec, std::int64_t order) {
  if (spec.core == RotationCore::kOrthonormal) {
    log::info("quarot: no construction here gives a Hadamard matrix of order {}; {} are rotated by {}", order, what,
              rotation_text(spec, order));
  } else {
    log::info("quarot: {} are rotated by {}", what, rotation_text(spec, order));
  }
}

void refuse_second(const char* what, const std::optional<RotationSpec>& there) {
  if (there) fail(ErrorCode::kUnsupported, "quarot: {} of this model are rotated at run time already", what);
}

}  // namespace

void QuarotOptions::visit(FieldVisitor& v) {
  v.field("residual", residual, "R1: turn the residual stream; norms are folded and a tied head is untied");
  v.field("values", values, "R2: turn each head's values, between v_proj and o_proj");
  v.field("down_input", down_input, "R4: turn the input of down_proj while the model runs");
  v.field("queries_keys", queries_keys, "R3: turn queries and keys while the model runs; for a quantized KV cache");
  v.field("seed", seed, "of the random signs, and of a rotation where no Hadamard matrix is known", {0, INT64_MAX});
}

void QuarotOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (residual || values || down_input || queries_keys) return;
  problems.add(mark,
               "'quarot' with every rotation off does nothing; leave one of 'residual', 'values', 'down_input' and "
               "'queries_keys' on");
}

Rotation Quarot::residual(const Architecture& a) const {
  return {rotation_for(a.hidden, static_cast<std::uint64_t>(options_.seed), true), a.hidden};
}

Rotation Quarot::values(const Architecture& a) const {
  return {rotation_for(a.head_dim, static_cast<std::uint64_t>(options_.seed), true), a.head_dim};
}

Architecture Quarot::rewrite(const Architecture& architecture) const {
  const auto seed = static_cast<std::uint64_t>(options_.seed);
  Architecture result = architecture;
  if (options_.residual) {
    result.tied_head = false;
    report("hidden states", rotation_for(architecture.hidden, seed, true), architecture.hidden);
  }
  if (options_.values) report("values", rotation_for(architecture.head_dim, seed, true), architecture.head_dim);
  if (options_.queries_keys) {
    refuse_second("queries and keys", architecture.query_key_rotation);
    result.query_key_rotation = rotation_for(architecture.head_dim, seed, false);
    report("queries and keys", *result.query_key_rotation, architecture.head_dim);
  }
  if (options_.down_input) {
    refuse_second("inputs of down_proj", architecture.down_input_rotation);
    result.down_input_rotation = rotation_for(architecture.intermediate, seed, false);
    report("inputs of down_proj", *result.down_input_rotation, architecture.intermediate);
  }
  return result;
}

at::Tensor Quarot::turn_inputs(const std::string& linear, at::Tensor weight, const Architecture& a,
                               const std::function<at::Tensor(const std::string&)>& load) const {
  if (const std::string norm = norm_before(linear); options_.residual && !norm.empty()) {
    return residual(a).apply(weight.mul(to_dtype(load(norm), DType::kFloat64)));
  }
  if (options_.values && linear.ends_with(".o_proj")) return turn_columns(weight, values(a));
  if (options_.down_input && linear.ends_with(".down_proj")) {
    const auto seed = static_cast<std::uint64_t>(options_.seed);
    return Rotation(rotation_for(a.intermediate, seed, false), a.intermediate).apply(weight);
  }
  return weight;
}

at::Tensor Quarot::turn_outputs(const std::string& linear, at::Tensor weight, const Architecture& a) const {
  const bool of_values = options_.values && linear.ends_with(".v_proj");
  if (!of_values && !(options_.residual && writes_residual(linear))) return weight;
  const Rotation rotation = of_values ? values(a) : residual(a);
  return weight.dim() == 2 ? turn_rows(weight, rotation) : turn_columns(weight, rotation);
}

at::Tensor Quarot::rewrite(const std::string& name, const at::Tensor& tensor, const Architecture& before,
                           const std::function<at::Tensor(const std::string&)>& load) const {
  at::Tensor wide = to_dtype(tensor, DType::kFloat64);
  if (name.ends_with("norm.weight")) {
    return options_.residual ? make_full(shape_of(tensor), 1.0, DType::kFloat32) : tensor;
  }
  if (name == "model.embed_tokens.weight") {
    if (!options_.residual) return tensor;
    return to_dtype(residual(before).apply(wide), DType::kFloat32);
  }
  const bool bias = name.ends_with(kBias);
  const std::string linear = name.substr(0, name.size() - (bias ? kBias : kWeight).size());
  if (!bias) wide = turn_inputs(linear, wide, before, load);
  return to_dtype(turn_outputs(linear, wide, before), DType::kFloat32).contiguous();
}

}  // namespace lowbit
