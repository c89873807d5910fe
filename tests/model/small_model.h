#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/base/random.h"
#include "lowbit/model/architecture.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit::testing {

/// A Llama of two blocks with random weights, kept in memory; its folder holds config.json and a tokenizer file.
class SmallModel : public WeightSource {
 public:
  static constexpr std::int64_t kHidden = 32;
  static constexpr std::int64_t kIntermediate = 44;  // a multiple of 4 and of nothing larger that groups use

  explicit SmallModel(std::filesystem::path folder) : path_(std::move(folder)) {
    write_file_atomically(path_ / "config.json", kConfig);
    write_file_atomically(path_ / "tokenizer.json", "{\"made\": \"up\"}");
    architecture_ = architecture_from_config(kConfig, "config.json");
    add("model.embed_tokens.weight", {20, kHidden}, "F32");
    for (int block = 0; block < 2; ++block) {
      const std::string prefix = "model.layers." + std::to_string(block) + ".";
      for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
        add(prefix + "self_attn." + name + ".weight", {kHidden, kHidden}, "F32");
      }
      add(prefix + "mlp.gate_proj.weight", {kIntermediate, kHidden}, "F32");
      add(prefix + "mlp.up_proj.weight", {kIntermediate, kHidden}, "F32");
      add(prefix + "mlp.down_proj.weight", {kHidden, kIntermediate}, "F32");
      add(prefix + "input_layernorm.weight", {kHidden}, "BF16");
      add(prefix + "post_attention_layernorm.weight", {kHidden}, "F16");
    }
    add("model.norm.weight", {kHidden}, "F32");
  }

  const Architecture& architecture() const override { return architecture_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  bool contains(std::string_view name) const override { return values_.contains(std::string(name)); }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>&) const override {
    return values_.at(std::string(name));
  }
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override { return hash_of("small model"); }
  const std::filesystem::path& path() const override { return path_; }
  std::string format() const override { return "safetensors"; }

 private:
  static constexpr const char* kConfig =
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 44,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 20,
          "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "tie_word_embeddings": true, "hidden_act": "silu",
          "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2, "quantization_config": {"quant_method": "old"}})";

  void add(const std::string& name, const std::vector<std::int64_t>& shape, const std::string& type) {
    const Random random(7, name);
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    std::vector<float> values(static_cast<std::size_t>(count));
    // Multiples of 1/64 are exact in every float type.
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.below(i, 127)) / 64.0F - 1.0F;
    values_[name] = tensor_of(std::span<const float>(values)).view(shape);
    tensors_.push_back({name, type, shape, 0});
  }

  std::filesystem::path path_;
  Architecture architecture_;
  std::map<std::string, at::Tensor> values_;
  std::vector<StoredTensor> tensors_;
};

/// A tokenizer that nothing is asked of.
class NoTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view, const EncodeOptions&) const override { return {}; }
  std::string decode(std::span<const TokenId>, bool) const override { return ""; }
  std::int64_t size() const override { return 0; }
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return std::nullopt; }
  bool adds_bos() const override { return false; }
  bool is_special(TokenId) const override { return false; }
  std::string piece(TokenId) const override { return ""; }
  std::optional<TokenId> find(std::string_view) const override { return std::nullopt; }
  std::string kind() const override { return "none"; }
  Hash fingerprint() const override { return {}; }
};

}  // namespace lowbit::testing
