#include "lowbit/model/architecture.h"

#include <cmath>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

// Far above every published model, and small enough for no product of three of them to overflow 64 bits.
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
constexpr std::int64_t kMaxContext = std::int64_t{1} << 30;
constexpr std::int64_t kMaxLayers = 4096;

void check_size(const std::string& origin, const char* key, std::int64_t value, std::int64_t limit) {
  if (value < 1 || value > limit) {
    fail(ErrorCode::kData, "{}: '{}' is {}, expected 1 to {}", origin, key, value, limit);
  }
}

void check_positive(const std::string& origin, const char* key, double value) {
  if (!std::isfinite(value) || value <= 0) {
    fail(ErrorCode::kData, "{}: '{}' is {}, expected a positive number", origin, key, value);
  }
}

void check_factors(const std::string& origin, const char* key, const std::vector<double>& factors, std::int64_t pairs) {
  if (static_cast<std::int64_t>(factors.size()) != pairs) {
    fail(ErrorCode::kData, "{}: '{}' has {} numbers, expected head_dim / 2 = {}", origin, key, factors.size(), pairs);
  }
  for (const double factor : factors) check_positive(origin, key, factor);
}

void check_rope(const Architecture& a, const std::string& origin) {
  const RopeScaling& rope = a.rope_scaling;
  check_positive(origin, "rope_theta", a.rope_theta);
  check_positive(origin, "factor", rope.factor);
  if (rope.kind == RopeScalingKind::kPerDimension) check_factors(origin, "divisors", rope.divisors, a.head_dim / 2);
  if (rope.kind == RopeScalingKind::kLongRope) {
    check_factors(origin, "short_factor", rope.short_factors, a.head_dim / 2);
    check_factors(origin, "long_factor", rope.long_factors, a.head_dim / 2);
  }
  const bool needs_original = rope.kind == RopeScalingKind::kYarn || rope.kind == RopeScalingKind::kLlama3 ||
                              rope.kind == RopeScalingKind::kLongRope;
  if (needs_original) check_size(origin, "original_max_position_embeddings", rope.original_context, kMaxContext);
  if (rope.kind == RopeScalingKind::kLlama3) {
    check_positive(origin, "low_freq_factor", rope.low_freq_factor);
    check_positive(origin, "high_freq_factor", rope.high_freq_factor);
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      fail(ErrorCode::kData, "{}: 'high_freq_factor' is {}, expected more than 'low_freq_factor' {}", origin,
           rope.high_freq_factor, rope.low_freq_factor);
    }
  }
  if (rope.kind == RopeScalingKind::kYarn) {
    check_positive(origin, "beta_fast", rope.beta_fast);
    check_positive(origin, "beta_slow", rope.beta_slow);
  }
  if (!std::isfinite(rope.attention_factor) || rope.attention_factor < 0) {
    fail(ErrorCode::kData, "{}: 'attention_factor' is {}, expected a positive number", origin, rope.attention_factor);
  }
}

void check_rotation(const std::string& origin, const char* what, const std::optional<RotationSpec>& spec,
                    std::int64_t order) {
  const std::string problem = spec ? rotation_problem(*spec, order) : "";
  if (!problem.empty()) fail(ErrorCode::kData, "{}: the rotation of {} has {}", origin, what, problem);
}

void check_token(const Architecture& a, const std::string& origin, const char* key, std::int64_t id) {
  if (id < 0 || id >= a.vocabulary) {
    fail(ErrorCode::kData, "{}: '{}' is {}, outside the vocabulary of {}", origin, key, id, a.vocabulary);
  }
}

}  // namespace

std::int64_t Architecture::block_parameters() const {
  const std::int64_t attention = 2 * hidden * heads * head_dim + 2 * hidden * kv_heads * head_dim;
  const std::int64_t attention_biases = attention_bias ? (heads + 2 * kv_heads) * head_dim + hidden : 0;
  const std::int64_t mlp_biases = mlp_bias ? 2 * intermediate + hidden : 0;
  return attention + attention_biases + 3 * hidden * intermediate + mlp_biases + 2 * hidden;
}

std::int64_t Architecture::multiply_adds() const {
  const std::int64_t attention = 2 * hidden * heads * head_dim + 2 * hidden * kv_heads * head_dim;
  return layers * (attention + 3 * hidden * intermediate) + vocabulary * hidden;
}

std::int64_t Architecture::parameters() const {
  return layers * block_parameters() + (tied_head ? 1 : 2) * vocabulary * hidden + hidden;
}

void Architecture::check(const std::string& origin) const {
  check_size(origin, "hidden_size", hidden, kMaxWidth);
  check_size(origin, "intermediate_size", intermediate, kMaxWidth);
  check_size(origin, "num_hidden_layers", layers, kMaxLayers);
  check_size(origin, "num_attention_heads", heads, kMaxWidth);
  check_size(origin, "num_key_value_heads", kv_heads, heads);
  check_size(origin, "head_dim", head_dim, kMaxWidth);
  check_size(origin, "vocab_size", vocabulary, kMaxVocabulary);
  check_size(origin, "max_position_embeddings", context, kMaxContext);
  if (heads % kv_heads != 0) {
    fail(ErrorCode::kData, "{}: 'num_attention_heads' is {}, not a multiple of 'num_key_value_heads' {}", origin, heads,
         kv_heads);
  }
  if (head_dim % 2 != 0) fail(ErrorCode::kData, "{}: 'head_dim' is {}, expected an even number", origin, head_dim);
  if (heads * head_dim > kMaxWidth) {
    fail(ErrorCode::kData, "{}: 'num_attention_heads' times 'head_dim' is {}, expected at most {}", origin,
         heads * head_dim, kMaxWidth);
  }
  check_positive(origin, "rms_norm_eps", norm_eps);
  if (sliding_window < 0) {
    fail(ErrorCode::kData, "{}: 'sliding_window' is {}, expected a positive number", origin, sliding_window);
  }
  check_rope(*this, origin);
  check_rotation(origin, "queries and keys", query_key_rotation, head_dim);
  check_rotation(origin, "the input of down_proj", down_input_rotation, intermediate);
  if (bos) check_token(*this, origin, "bos_token_id", *bos);
  for (const std::int64_t id : eos) check_token(*this, origin, "eos_token_id", id);
}

}  // namespace lowbit
