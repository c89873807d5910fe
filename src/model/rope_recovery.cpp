#include "model/rope_recovery.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lowbit {
namespace {

// Whoever wrote the divisors computed them in float32: about six roundings of 2^-24 in a number up to 4 (the original
// context over the wavelength), whose error the share of the factor makes up to 8 times larger for factors up to 32.
constexpr double kTolerance = 64.0 / (1 << 24);

RopeScaling llama3(double factor, double high, double original) {
  RopeScaling scaling;
  scaling.kind = RopeScalingKind::kLlama3;
  scaling.factor = factor;
  scaling.low_freq_factor = 1.0;
  scaling.high_freq_factor = high;
  scaling.original_context = static_cast<std::int64_t>(original);
  return scaling;
}

bool explains(const RopeScaling& scaling, const std::vector<double>& divisors, const std::vector<double>& plain,
              Architecture architecture) {
  if (scaling.original_context < 1 || !(scaling.high_freq_factor > scaling.low_freq_factor)) return false;
  architecture.rope_scaling = scaling;
  const std::vector<double> inverse = rope_frequencies(architecture, architecture.context).inverse;
  for (std::size_t i = 0; i < divisors.size(); ++i) {
    if (std::abs(plain[i] / inverse[i] - divisors[i]) > kTolerance * divisors[i]) return false;
  }
  return true;
}

// Between the plain and the stretched frequencies 1 / divisor = (1 - s) / factor + s, where s = (original / wavelength
// - low) / (high - low) is linear in the frequency: its first and last point give original / low and high / low.
std::optional<RopeScaling> fit(const std::vector<double>& divisors, const std::vector<double>& plain, double factor) {
  const auto on_ramp = [&](double divisor) { return divisor > 1.0 && divisor < factor; };
  const auto first = std::find_if(divisors.begin(), divisors.end(), on_ramp);
  const auto last = std::find_if(divisors.rbegin(), divisors.rend(), on_ramp);
  if (first == divisors.end() || first == last.base() - 1) return std::nullopt;
  const auto share = [&](double divisor) { return (1.0 / divisor - 1.0 / factor) / (1.0 - 1.0 / factor); };
  const auto turns = [&](auto place) {
    return plain[static_cast<std::size_t>(place - divisors.begin())] / (2.0 * std::numbers::pi);
  };
  const auto end = last.base() - 1;
  const double slope = (share(*first) - share(*end)) / (turns(first) - turns(end));
  const double low = turns(first) - share(*first) / slope;  // in turns a position, where the share is 0
  const double high = low + 1.0 / slope;
  if (!(slope > 0) || !(low > 0)) return std::nullopt;
  const double original = std::round(1.0 / low);
  if (original > 1e9) return std::nullopt;
  return llama3(factor, std::round(high / low * 256.0) / 256.0, original);
}

}  // namespace

std::optional<RopeScaling> llama3_scaling_of(const std::vector<double>& divisors, const Architecture& architecture) {
  Architecture unscaled = architecture;
  unscaled.rope_scaling = {};
  const std::vector<double> plain = rope_frequencies(unscaled, architecture.context).inverse;
  const double factor = *std::max_element(divisors.begin(), divisors.end());
  if (factor <= 1.0) return std::nullopt;
  // Those of all published Llama 3 models, then what the file says, then what the numbers say.
  std::vector<RopeScaling> candidates = {llama3(factor, 4.0, 8192)};
  const std::int64_t hint = architecture.rope_scaling.original_context;
  if (hint > 0) candidates.push_back(llama3(factor, 4.0, static_cast<double>(hint)));
  if (const auto fitted = fit(divisors, plain, factor)) candidates.push_back(*fitted);
  for (const RopeScaling& candidate : candidates) {
    if (explains(candidate, divisors, plain, unscaled)) return candidate;
  }
  return std::nullopt;
}

}  // namespace lowbit
