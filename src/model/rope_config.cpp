#include "model/rope_config.h"

#include <cmath>

namespace lowbit {
namespace {

// lowbit's own name, for artifacts of GGUF files whose `rope_freqs` follow no formula.
constexpr const char* kDivisors = "divisors";

RopeScalingKind kind_named(const std::string& name, const std::string& origin) {
  if (name == "default") return RopeScalingKind::kNone;
  if (name == "linear") return RopeScalingKind::kLinear;
  if (name == "dynamic") return RopeScalingKind::kDynamic;
  if (name == "yarn") return RopeScalingKind::kYarn;
  if (name == "longrope" || name == "su") return RopeScalingKind::kLongRope;
  if (name == "llama3") return RopeScalingKind::kLlama3;
  if (name == kDivisors) return RopeScalingKind::kPerDimension;
  fail(ErrorCode::kUnsupported,
       "{}: rope scaling '{}' is not known, expected default, linear, dynamic, yarn, longrope or llama3", origin, name);
}

void refuse_variants(const ConfigKeys& keys) {
  if (keys.real("partial_rotary_factor").value_or(1.0) != 1.0) {
    fail(ErrorCode::kUnsupported, "{}: 'partial_rotary_factor' is {}, only whole heads can be rotated", keys.origin(),
         *keys.real("partial_rotary_factor"));
  }
  if (!keys.boolean("truncate").value_or(true)) {
    fail(ErrorCode::kUnsupported, "{}: yarn with 'truncate' false is not supported", keys.origin());
  }
}

double require_factor(const ConfigKeys& keys) {
  const std::optional<double> factor = keys.real("factor");
  if (!factor) fail(ErrorCode::kData, "{}: rope scaling has no 'factor'", keys.origin());
  return *factor;
}

// Yarn's factor on cos and sin when two strengths are given (DeepSeek's files).
double yarn_strength_ratio(const ConfigKeys& keys, double factor) {
  const double mscale = keys.real("mscale").value_or(0.0);
  const double mscale_all = keys.real("mscale_all_dim").value_or(0.0);
  if (mscale == 0.0 || mscale_all == 0.0 || factor <= 1.0) return 0.0;
  return (0.1 * mscale * std::log(factor) + 1.0) / (0.1 * mscale_all * std::log(factor) + 1.0);
}

void read_scaling(const ConfigKeys& config, const ConfigKeys& keys, Architecture& architecture) {
  RopeScaling& rope = architecture.rope_scaling;
  std::optional<std::string> name = keys.string("rope_type");
  if (!name) name = keys.string("type");
  rope.kind = kind_named(name.value_or("default"), keys.origin());
  refuse_variants(keys);
  if (rope.kind == RopeScalingKind::kNone) return;
  rope.divisors = keys.reals("divisors");
  if (rope.kind == RopeScalingKind::kPerDimension) return;
  rope.original_context =
      keys.integer("original_max_position_embeddings")
          .value_or(config.integer("original_max_position_embeddings").value_or(architecture.context));
  const bool from_lengths =
      rope.kind == RopeScalingKind::kLongRope && !keys.real("factor") && rope.original_context > 0;
  rope.factor = from_lengths ? static_cast<double>(architecture.context) / static_cast<double>(rope.original_context)
                             : require_factor(keys);
  rope.low_freq_factor = keys.real("low_freq_factor").value_or(rope.low_freq_factor);
  rope.high_freq_factor = keys.real("high_freq_factor").value_or(rope.high_freq_factor);
  rope.beta_fast = keys.real("beta_fast").value_or(rope.beta_fast);
  rope.beta_slow = keys.real("beta_slow").value_or(rope.beta_slow);
  rope.attention_factor = keys.real("attention_factor").value_or(yarn_strength_ratio(keys, rope.factor));
  rope.short_factors = keys.reals("short_factor");
  rope.long_factors = keys.reals("long_factor");
}

const char* name_of(RopeScalingKind kind) {
  switch (kind) {
    case RopeScalingKind::kNone: return "default";
    case RopeScalingKind::kLinear: return "linear";
    case RopeScalingKind::kDynamic: return "dynamic";
    case RopeScalingKind::kYarn: return "yarn";
    case RopeScalingKind::kLongRope: return "longrope";
    case RopeScalingKind::kLlama3: return "llama3";
    case RopeScalingKind::kPerDimension: return kDivisors;
  }
  return "";
}

}  // namespace

void read_rope(const ConfigKeys& config, Architecture& architecture) {
  if (const Json* parameters = config.find("rope_parameters")) {
    const ConfigKeys keys(*parameters, config.origin());
    architecture.rope_theta = keys.real("rope_theta").value_or(config.real("rope_theta").value_or(10000.0));
    read_scaling(config, keys, architecture);
    return;
  }
  architecture.rope_theta = config.real("rope_theta").value_or(10000.0);
  if (const Json* scaling = config.find("rope_scaling")) {
    read_scaling(config, ConfigKeys(*scaling, config.origin()), architecture);
  }
}

Json rope_parameters_of(const Architecture& architecture) {
  const RopeScaling& rope = architecture.rope_scaling;
  Json json = {{"rope_theta", architecture.rope_theta}, {"rope_type", name_of(rope.kind)}};
  if (rope.kind == RopeScalingKind::kNone) return json;
  if (rope.kind == RopeScalingKind::kPerDimension) {
    json["divisors"] = rope.divisors;
    return json;
  }
  json["factor"] = rope.factor;
  if (rope.kind == RopeScalingKind::kLinear || rope.kind == RopeScalingKind::kDynamic) return json;
  json["original_max_position_embeddings"] = rope.original_context;
  if (rope.attention_factor > 0) json["attention_factor"] = rope.attention_factor;
  if (rope.kind == RopeScalingKind::kLlama3) {
    json["low_freq_factor"] = rope.low_freq_factor;
    json["high_freq_factor"] = rope.high_freq_factor;
  } else if (rope.kind == RopeScalingKind::kYarn) {
    json["beta_fast"] = rope.beta_fast;
    json["beta_slow"] = rope.beta_slow;
  } else {
    json["short_factor"] = rope.short_factors;
    json["long_factor"] = rope.long_factors;
  }
  return json;
}

}  // namespace lowbit
