#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "lowbit/base/random.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/factory.h"
#include "support/byte_tokenizer.h"

namespace lowbit::testing {

/// The weights of a small Llama over bytes, random but the same each time, with a second random set added in a share of
/// `noise`, and the head multiplied by `head`: 0 makes every prediction uniform.
class ByteModelSource : public WeightSource {
 public:
  ByteModelSource(double noise, double head, std::int64_t context = 64) : noise_(noise), head_(head) {
    architecture_ = architecture_from_config(
        R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 257,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "hidden_act": "silu"})",
        "byte model");
    architecture_.context = context;
  }
  const Architecture& architecture() const override { return architecture_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  bool contains(std::string_view) const override { return true; }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override {
    at::Tensor values = random_tensor(name, shape);
    if (noise_ > 0) values = values.add(random_tensor(std::string(name) + " noise", shape), noise_);
    return name == "lm_head.weight" ? values.mul(head_) : values;
  }
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override { return hash_of("byte model"); }
  const std::filesystem::path& path() const override { return path_; }
  std::string format() const override { return "memory"; }

 private:
  static at::Tensor random_tensor(std::string_view name, const std::vector<std::int64_t>& shape) {
    const Random random(7, name);
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(static_cast<float>(0.2 * random.normal(static_cast<std::uint64_t>(i))));
    }
    return tensor_of(std::span<const float>(values)).view(shape);
  }
  double noise_;
  double head_;
  Architecture architecture_;
  std::vector<StoredTensor> tensors_;
  std::filesystem::path path_ = "byte model";
};

inline std::shared_ptr<Model> make_byte_model(double noise = 0, double head = 5,
                                              Model::Residency residency = Model::Residency::kResident) {
  return Model::make(std::make_shared<ByteModelSource>(noise, head), std::make_unique<ByteTokenizer>(), {}, residency);
}

}  // namespace lowbit::testing
