#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/tensor/rotation.h"

namespace lowbit LOWBIT_EXPORT {

class GgufFile;

enum class RopeScalingKind { kNone, kLinear, kDynamic, kYarn, kLongRope, kLlama3, kPerDimension };

/// How rotary frequencies are stretched for long contexts (Hugging Face's `rope_scaling`; formats differ in spelling).
struct RopeScaling {
  RopeScalingKind kind = RopeScalingKind::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_context = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double attention_factor = 0.0;           ///< 0: from the rule of the kind
  std::vector<double> divisors = {};       ///< kPerDimension (GGUF's rope_freqs): angle = position * inv_freq / divisor
  std::vector<double> short_factors = {};  ///< kLongRope
  std::vector<double> long_factors = {};
  bool operator==(const RopeScaling&) const = default;
};

enum class Activation { kSilu, kGeluTanh, kRelu };

/// A decoder-only language model described by data. A new family is one more mapping to this struct.
struct Architecture {
  std::string family;  ///< "llama"
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocabulary = 0;  ///< rows of the embedding, which may exceed the tokenizer's size
  std::int64_t context = 0;     ///< max_position_embeddings
  double norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  Activation activation = Activation::kSilu;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tied_head = false;
  std::int64_t sliding_window = 0;  ///< 0: none
  // Rotations that a block carries out itself, because no weight before them can take them in (QuaRot's R3 and R4).
  std::optional<RotationSpec> query_key_rotation;   ///< of each head's query and key, after RoPE
  std::optional<RotationSpec> down_input_rotation;  ///< of the input of down_proj
  std::optional<std::int64_t> bos;
  std::vector<std::int64_t> eos;

  /// Multiply-adds of one token through blocks and head, without attention scores.
  [[nodiscard]] std::int64_t multiply_adds() const;
  [[nodiscard]] std::int64_t block_parameters() const;
  [[nodiscard]] std::int64_t parameters() const;
  /// Sizes positive and consistent. Throws `kData` as "<origin>: ...", naming the key.
  void check(const std::string& origin) const;
  bool operator==(const Architecture&) const = default;
};

/// From a Hugging Face config.json. Throws `kData` naming the key, `kUnsupported` naming the architecture.
[[nodiscard]] Architecture architecture_from_config(std::string_view config_json, const std::string& origin);
/// From GGUF metadata.
[[nodiscard]] Architecture architecture_from_gguf(const GgufFile& file);
/// Whether `transformers` knows all of it; else the first thing that it does not, in words.
[[nodiscard]] std::string transformers_obstacle(const Architecture& architecture);
/// A config.json that `transformers` reads, or, where it knows no such model, only lowbit (see
/// `transformers_obstacle`); `dtype` is the stored type's name ("float32").
[[nodiscard]] std::string config_json_of(const Architecture& architecture, const std::string& dtype);

/// inv_freq of the `head_dim / 2` pairs in float64 for a sequence of `length` positions, and the factor on cos and sin.
struct RopeFrequencies {
  std::vector<double> inverse;
  double attention_factor = 1.0;
};
[[nodiscard]] RopeFrequencies rope_frequencies(const Architecture& architecture, std::int64_t length);

}  // namespace LOWBIT_EXPORT
