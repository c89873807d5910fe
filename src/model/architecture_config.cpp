#include "lowbit/base/error.h"
#include "lowbit/base/json.h"
#include "lowbit/model/architecture.h"
#include "model/config_keys.h"
#include "model/rope_config.h"
#include "model/rotation_config.h"

namespace lowbit {
namespace {

// Llama's own class, or the model type of files that name no class.
void require_llama(const ConfigKeys& keys) {
  std::string name = keys.string("model_type").value_or("");
  const Json* classes = keys.find("architectures");
  if (classes != nullptr && classes->is_array() && !classes->empty() && classes->front().is_string()) {
    name = classes->front().get<std::string>();
  }
  if (name == "LlamaForCausalLM" || name == "llama") return;
  if (name.empty())
    fail(ErrorCode::kData, "{}: neither 'architectures' nor 'model_type' says what it is", keys.origin());
  fail(ErrorCode::kUnsupported, "{}: architecture '{}' is not supported, expected LlamaForCausalLM", keys.origin(),
       name);
}

Activation activation_named(const ConfigKeys& keys) {
  const std::string name = keys.string("hidden_act").value_or("silu");
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  fail(ErrorCode::kUnsupported, "{}: 'hidden_act' is '{}', expected silu, gelu_pytorch_tanh or relu", keys.origin(),
       name);
}

const char* name_of(Activation activation) {
  switch (activation) {
    case Activation::kSilu: return "silu";
    case Activation::kGeluTanh: return "gelu_pytorch_tanh";
    case Activation::kRelu: return "relu";
  }
  return "";
}

std::int64_t head_dimension(const ConfigKeys& keys, const Architecture& a) {
  if (const std::optional<std::int64_t> given = keys.integer("head_dim")) return *given;
  if (a.heads < 1 || a.hidden % a.heads != 0) {
    fail(ErrorCode::kData,
         "{}: 'hidden_size' {} is not a multiple of 'num_attention_heads' {}, and 'head_dim' is missing", keys.origin(),
         a.hidden, a.heads);
  }
  return a.hidden / a.heads;
}

}  // namespace

Architecture architecture_from_config(std::string_view config_json, const std::string& origin) {
  const Json json = parse_json(config_json, origin);
  const ConfigKeys keys(json, origin);
  require_llama(keys);
  Architecture a;
  a.family = "llama";
  a.hidden = keys.required_integer("hidden_size");
  a.intermediate = keys.required_integer("intermediate_size");
  a.layers = keys.required_integer("num_hidden_layers");
  a.heads = keys.required_integer("num_attention_heads");
  a.kv_heads = keys.integer("num_key_value_heads").value_or(a.heads);
  a.head_dim = head_dimension(keys, a);
  a.vocabulary = keys.required_integer("vocab_size");
  a.context = keys.integer("max_position_embeddings").value_or(2048);
  a.norm_eps = keys.real("rms_norm_eps").value_or(1e-6);
  a.activation = activation_named(keys);
  a.attention_bias = keys.boolean("attention_bias").value_or(false);
  a.mlp_bias = keys.boolean("mlp_bias").value_or(false);
  a.tied_head = keys.boolean("tie_word_embeddings").value_or(false);
  read_rope(keys, a);
  read_rotations(keys, a);
  // Llama's defaults are 1 and 2, but a file that names no tokens says nothing about its tokenizer.
  a.bos = keys.integer("bos_token_id");
  a.eos = keys.integers("eos_token_id");
  a.check(origin);
  return a;
}

std::string transformers_obstacle(const Architecture& a) {
  if (a.rope_scaling.kind == RopeScalingKind::kPerDimension) return "rotary divisors of every dimension";
  if (a.query_key_rotation) return "queries and keys that are rotated at run time";
  if (a.down_input_rotation) return "an input of down_proj that is rotated at run time";
  return "";
}

std::string config_json_of(const Architecture& a, const std::string& dtype) {
  if (a.family != "llama") fail(ErrorCode::kUnsupported, "family '{}' has no config.json here", a.family);
  Json json = {{"architectures", {"LlamaForCausalLM"}},
               {"model_type", "llama"},
               {"hidden_size", a.hidden},
               {"intermediate_size", a.intermediate},
               {"num_hidden_layers", a.layers},
               {"num_attention_heads", a.heads},
               {"num_key_value_heads", a.kv_heads},
               {"head_dim", a.head_dim},
               {"vocab_size", a.vocabulary},
               {"max_position_embeddings", a.context},
               {"rms_norm_eps", a.norm_eps},
               {"hidden_act", name_of(a.activation)},
               {"attention_bias", a.attention_bias},
               {"mlp_bias", a.mlp_bias},
               {"tie_word_embeddings", a.tied_head},
               {"torch_dtype", dtype}};
  json["rope_parameters"] = rope_parameters_of(a);
  // Readers older than `rope_parameters` look here.
  json["rope_theta"] = a.rope_theta;
  if (a.rope_scaling.kind != RopeScalingKind::kNone) {
    json["rope_scaling"] = json["rope_parameters"];
    json["rope_scaling"].erase("rope_theta");
  }
  if (const Json rotations = rotations_of(a); !rotations.empty()) json[kRotations] = rotations;
  if (a.bos) json["bos_token_id"] = *a.bos;
  if (a.eos.size() == 1) json["eos_token_id"] = a.eos.front();
  if (a.eos.size() > 1) json["eos_token_id"] = a.eos;
  return json.dump(2) + "\n";
}

}  // namespace lowbit
