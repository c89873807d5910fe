#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/containers/gguf.h"
#include "lowbit/formats/ggml_blocks.h"
#include "lowbit/model/architecture.h"
#include "model/rope_recovery.h"

namespace lowbit {
namespace {

const TensorEntry& embedding_of(const GgufFile& file, const std::string& origin) {
  const TensorEntry* entry = file.find("token_embd.weight");
  if (entry == nullptr) fail(ErrorCode::kData, "{}: tensor 'token_embd.weight' is missing", origin);
  if (entry->shape.size() != 2) fail(ErrorCode::kData, "{}: tensor 'token_embd.weight' is no matrix", origin);
  return *entry;
}

// Llama 3's scaling comes as one divisor for each pair of dimensions. Divisors of another origin are kept as they are.
void read_divisors(const GgufFile& file, const TensorEntry& entry, const std::string& origin, Architecture& a) {
  if (entry.elements() != a.head_dim / 2) {
    fail(ErrorCode::kData, "{}: tensor 'rope_freqs.weight' has {} numbers, expected head_dim / 2 = {}", origin,
         entry.elements(), a.head_dim / 2);
  }
  std::vector<float> divisors(static_cast<std::size_t>(entry.elements()));
  dequantize_blocks(entry.type, entry.data, divisors);
  for (const float divisor : divisors) {
    if (std::isfinite(divisor) && divisor > 0) continue;
    fail(ErrorCode::kData, "{}: 'rope_freqs.weight' is {}, expected a positive number", origin, divisor);
  }
  a.rope_scaling.original_context = file.integer("llama.rope.scaling.original_context_length", 0);
  const std::vector<double> wide(divisors.begin(), divisors.end());
  if (const auto scaling = llama3_scaling_of(wide, a)) {
    a.rope_scaling = *scaling;
    return;
  }
  a.rope_scaling = {.kind = RopeScalingKind::kPerDimension, .divisors = wide};
}

void read_scaling(const GgufFile& file, const std::string& origin, Architecture& a) {
  if (const TensorEntry* divisors = file.find("rope_freqs.weight")) return read_divisors(file, *divisors, origin, a);
  const bool named = file.metadata("llama.rope.scaling.type") != nullptr;
  const std::string type = named ? file.string("llama.rope.scaling.type") : "none";
  if (type == "none") return;
  if (type != "linear" && type != "yarn") {
    fail(ErrorCode::kUnsupported, "{}: rope scaling '{}' is not known in a GGUF file, expected none, linear or yarn",
         origin, type);
  }
  a.rope_scaling.kind = type == "linear" ? RopeScalingKind::kLinear : RopeScalingKind::kYarn;
  a.rope_scaling.factor = file.real("llama.rope.scaling.factor");
  a.rope_scaling.original_context =
      type == "linear" ? a.context : file.integer("llama.rope.scaling.original_context_length", a.context);
}

void read_tokens(const GgufFile& file, Architecture& a) {
  if (file.metadata("tokenizer.ggml.bos_token_id") != nullptr) a.bos = file.integer("tokenizer.ggml.bos_token_id");
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    if (file.metadata(key) == nullptr) continue;
    const std::int64_t id = file.integer(key);
    if (a.eos.empty() || a.eos.front() != id) a.eos.push_back(id);
  }
}

}  // namespace

Architecture architecture_from_gguf(const GgufFile& file) {
  const std::string origin = file.path().string();
  const std::string name = file.string("general.architecture");
  if (name != "llama") {
    fail(ErrorCode::kUnsupported, "{}: architecture '{}' is not supported, expected llama", origin, name);
  }
  if (file.integer("llama.expert_count", 0) != 0) {
    fail(ErrorCode::kUnsupported, "{}: mixtures of experts are not supported", origin);
  }
  Architecture a;
  a.family = "llama";
  a.hidden = file.integer("llama.embedding_length");
  a.intermediate = file.integer("llama.feed_forward_length");
  a.layers = file.integer("llama.block_count");
  a.heads = file.integer("llama.attention.head_count");
  a.kv_heads = file.integer("llama.attention.head_count_kv", a.heads);
  if (a.heads < 1)
    fail(ErrorCode::kData, "{}: 'llama.attention.head_count' is {}, expected at least 1", origin, a.heads);
  a.head_dim = file.integer("llama.attention.key_length", a.hidden / a.heads);
  if (file.integer("llama.rope.dimension_count", a.head_dim) != a.head_dim) {
    fail(ErrorCode::kUnsupported, "{}: only whole heads can be rotated, got {} of {} dimensions", origin,
         file.integer("llama.rope.dimension_count"), a.head_dim);
  }
  a.vocabulary = embedding_of(file, origin).shape[0];
  a.context = file.integer("llama.context_length");
  a.norm_eps = file.real("llama.attention.layer_norm_rms_epsilon");
  a.rope_theta = file.real("llama.rope.freq_base", 10000.0);
  a.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  a.mlp_bias = file.find("blk.0.ffn_gate.bias") != nullptr;
  a.tied_head = file.find("output.weight") == nullptr;
  read_tokens(file, a);
  a.check(origin);  // before the scaling, whose arithmetic relies on the sizes
  read_scaling(file, origin, a);
  a.check(origin);
  return a;
}

}  // namespace lowbit
