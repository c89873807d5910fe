// Sources: Llama ("RoFormer", Su et al. 2021), NTK-aware scaling, YaRN (Peng et al. 2023, arXiv 2309.00071), LongRoPE
// (Ding et al. 2024, arXiv 2402.13753), Llama 3.1; the conventions are those of Hugging Face's files.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "lowbit/base/error.h"
#include "lowbit/model/architecture.h"

namespace lowbit {
namespace {

std::vector<double> plain_frequencies(double theta, std::int64_t dim) {
  std::vector<double> inverse(static_cast<std::size_t>(dim / 2));
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    inverse[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
  }
  return inverse;
}

double dynamic_theta(const Architecture& a, std::int64_t length) {
  const double stretch = static_cast<double>(std::max(length, a.context)) / static_cast<double>(a.context);
  const double dim = static_cast<double>(a.head_dim);
  if (a.head_dim <= 2) return a.rope_theta;
  const double factor = a.rope_scaling.factor;
  return a.rope_theta * std::pow(factor * stretch - (factor - 1.0), dim / (dim - 2.0));
}

// Frequencies that turn often in the original context stay, slow ones are stretched, with a ramp between them.
std::vector<double> yarn_frequencies(const Architecture& a) {
  const RopeScaling& rope = a.rope_scaling;
  const double dim = static_cast<double>(a.head_dim);
  const auto dimension_of = [&](double turns) {
    const double original = static_cast<double>(rope.original_context);
    return dim * std::log(original / (turns * 2.0 * std::numbers::pi)) / (2.0 * std::log(a.rope_theta));
  };
  const double low = std::max(std::floor(dimension_of(rope.beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension_of(rope.beta_slow)), dim - 1.0);
  if (high == low) high += 0.001;
  std::vector<double> inverse = plain_frequencies(a.rope_theta, a.head_dim);
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    inverse[i] = inverse[i] / rope.factor * ramp + inverse[i] * (1.0 - ramp);
  }
  return inverse;
}

std::vector<double> llama3_frequencies(const Architecture& a) {
  const RopeScaling& rope = a.rope_scaling;
  const double original = static_cast<double>(rope.original_context);
  std::vector<double> inverse = plain_frequencies(a.rope_theta, a.head_dim);
  for (double& value : inverse) {
    const double wavelength = 2.0 * std::numbers::pi / value;
    if (wavelength < original / rope.high_freq_factor) continue;
    if (wavelength > original / rope.low_freq_factor) {
      value /= rope.factor;
      continue;
    }
    const double smooth =
        (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    value = (1.0 - smooth) * value / rope.factor + smooth * value;
  }
  return inverse;
}

std::vector<double> divided_frequencies(const Architecture& a, const std::vector<double>& divisors) {
  std::vector<double> inverse = plain_frequencies(a.rope_theta, a.head_dim);
  LOWBIT_ASSERT(divisors.size() == inverse.size());
  for (std::size_t i = 0; i < inverse.size(); ++i) inverse[i] /= divisors[i];
  return inverse;
}

double attention_factor_of(const RopeScaling& rope) {
  if (rope.kind != RopeScalingKind::kYarn && rope.kind != RopeScalingKind::kLongRope) return 1.0;
  if (rope.attention_factor > 0) return rope.attention_factor;
  if (rope.factor <= 1.0) return 1.0;
  if (rope.kind == RopeScalingKind::kYarn) return 0.1 * std::log(rope.factor) + 1.0;
  return std::sqrt(1.0 + std::log(rope.factor) / std::log(static_cast<double>(rope.original_context)));
}

}  // namespace

RopeFrequencies rope_frequencies(const Architecture& a, std::int64_t length) {
  const RopeScaling& rope = a.rope_scaling;
  RopeFrequencies result{{}, attention_factor_of(rope)};
  switch (rope.kind) {
    case RopeScalingKind::kNone: result.inverse = plain_frequencies(a.rope_theta, a.head_dim); break;
    case RopeScalingKind::kLinear:
      result.inverse = plain_frequencies(a.rope_theta, a.head_dim);
      for (double& value : result.inverse) value /= rope.factor;
      break;
    case RopeScalingKind::kDynamic: result.inverse = plain_frequencies(dynamic_theta(a, length), a.head_dim); break;
    case RopeScalingKind::kYarn: result.inverse = yarn_frequencies(a); break;
    case RopeScalingKind::kLlama3: result.inverse = llama3_frequencies(a); break;
    case RopeScalingKind::kPerDimension: result.inverse = divided_frequencies(a, rope.divisors); break;
    case RopeScalingKind::kLongRope:
      result.inverse = divided_frequencies(a, length > rope.original_context ? rope.long_factors : rope.short_factors);
      break;
  }
  return result;
}

}  // namespace lowbit
