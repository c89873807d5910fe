#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/model_in_memory.h"
#include "support/changed_weights.h"

namespace lowbit::testing {

/// A random Llama of two blocks whose four query heads share two of keys and values, with biases everywhere.
class GroupedModel : public ModelInMemory {
 public:
  static constexpr std::int64_t kHidden = 32;
  static constexpr std::int64_t kIntermediate = 48;

  explicit GroupedModel(std::filesystem::path folder) : ModelInMemory("grouped model", std::move(folder), kConfig) {
    add("model.embed_tokens.weight", {20, kHidden}, 0, 1);
    for (int block = 0; block < 2; ++block) {
      const std::string prefix = "model.layers." + std::to_string(block) + ".";
      for (const auto& [name, rows] : {std::pair("q_proj", kHidden), std::pair("k_proj", kHidden / 2),
                                       std::pair("v_proj", kHidden / 2), std::pair("o_proj", kHidden)}) {
        add_linear(prefix + "self_attn." + name, rows, kHidden);
      }
      add_linear(prefix + "mlp.gate_proj", kIntermediate, kHidden);
      add_linear(prefix + "mlp.up_proj", kIntermediate, kHidden);
      add_linear(prefix + "mlp.down_proj", kHidden, kIntermediate);
      add(prefix + "input_layernorm.weight", {kHidden}, 1, 0.2);
      add(prefix + "post_attention_layernorm.weight", {kHidden}, 1, 0.2);
    }
    add("model.norm.weight", {kHidden}, 1, 0.2);
  }

 private:
  static constexpr const char* kConfig =
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20,
          "attention_bias": true, "mlp_bias": true, "max_position_embeddings": 128, "rms_norm_eps": 1e-05,
          "tie_word_embeddings": true, "hidden_act": "silu", "torch_dtype": "float32", "bos_token_id": 1,
          "eos_token_id": 2})";

  void add_linear(const std::string& name, std::int64_t rows, std::int64_t columns) {
    add(name + ".weight", {rows, columns}, 0, 0.3);
    add(name + ".bias", {rows}, 0, 0.5);
  }
  void add(const std::string& name, const std::vector<std::int64_t>& shape, double mean, double spread) {
    ModelInMemory::add(name, shape, "F32", [&](const Random& random, std::uint64_t i) {
      return static_cast<float>(mean + spread * random.normal(i));
    });
  }
};

/// The same weights in a model that sees some tokens only.
class ThroughAWindow : public ChangedWeights {
 public:
  ThroughAWindow(const std::shared_ptr<const WeightSource>& base, std::int64_t tokens)
      : ChangedWeights(base), architecture_(base->architecture()) {
    architecture_.sliding_window = tokens;
  }
  const Architecture& architecture() const override { return architecture_; }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override {
    return base().load(name, shape);
  }
  std::optional<QuantizedWeight> load_quantized(std::string_view linear) const override {
    return base().load_quantized(linear);
  }
  std::vector<RuntimeRecord> executions(std::string_view linear) const override { return base().executions(linear); }
  std::optional<RuntimeRecord> kv_cache() const override { return base().kv_cache(); }

 private:
  Architecture architecture_;
};

}  // namespace lowbit::testing
