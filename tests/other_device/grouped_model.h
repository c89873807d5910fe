#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/base/random.h"
#include "lowbit/model/architecture.h"
#include "lowbit/tensor/factory.h"
#include "support/changed_weights.h"

namespace lowbit::testing {

/// A random Llama of two blocks whose four query heads share two of keys and values, with biases everywhere.
class GroupedModel : public WeightSource {
 public:
  static constexpr std::int64_t kHidden = 32;
  static constexpr std::int64_t kIntermediate = 48;

  explicit GroupedModel(std::filesystem::path folder) : path_(std::move(folder)) {
    std::filesystem::create_directories(path_);
    write_file_atomically(path_ / "config.json", kConfig);
    write_file_atomically(path_ / "tokenizer.json", "{\"made\": \"up\"}");
    architecture_ = architecture_from_config(kConfig, "config.json");
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

  const Architecture& architecture() const override { return architecture_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  bool contains(std::string_view name) const override { return values_.contains(std::string(name)); }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>&) const override {
    return values_.at(std::string(name));
  }
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override { return hash_of("grouped model"); }
  const std::filesystem::path& path() const override { return path_; }
  std::string format() const override { return "safetensors"; }

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
    const Random random(7, name);
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(static_cast<float>(mean + spread * random.normal(static_cast<std::uint64_t>(i))));
    }
    values_[name] = tensor_of(std::span<const float>(values)).view(shape);
    tensors_.push_back({name, "F32", shape, 0});
  }

  std::filesystem::path path_;
  Architecture architecture_;
  std::map<std::string, at::Tensor> values_;
  std::vector<StoredTensor> tensors_;
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
