#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/text/tokenizer.h"
#include "model/model_in_memory.h"

namespace lowbit::testing {

/// A Llama of two blocks with random weights, kept in memory.
class SmallModel : public ModelInMemory {
 public:
  static constexpr std::int64_t kHidden = 32;
  static constexpr std::int64_t kIntermediate = 44;  // a multiple of 4 and of nothing larger that groups use

  explicit SmallModel(std::filesystem::path folder) : ModelInMemory("small model", std::move(folder), kConfig) {
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

 private:
  static constexpr const char* kConfig =
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 44,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 20,
          "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "tie_word_embeddings": true, "hidden_act": "silu",
          "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2, "quantization_config": {"quant_method": "old"}})";

  // Multiples of 1/64 are exact in every float type.
  void add(const std::string& name, const std::vector<std::int64_t>& shape, const std::string& type) {
    ModelInMemory::add(name, shape, type, [](const Random& random, std::uint64_t i) {
      return static_cast<float>(random.below(i, 127)) / 64.0F - 1.0F;
    });
  }
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
