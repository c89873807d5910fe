#include "quantization/activations/input_rounding.h"

#include <algorithm>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

constexpr double kLargestE4M3 = 448;

// Signed codes from `low` to `high`, and how much of a scale the largest magnitude takes.
struct Codes {
  double low;
  double high;
  double span;
};

Codes codes_of(const ActivationScheme& scheme) {
  if (scheme.type == ActivationScheme::Type::kFloat8) return {-kLargestE4M3, kLargestE4M3, kLargestE4M3};
  const double half = std::ldexp(1.0, scheme.bits - 1);
  switch (scheme.symmetry) {
    case Symmetry::kAsymmetric: return {-half, half - 1, 2 * half - 1};
    case Symmetry::kSymOffset: return {-half, half - 1, half - 0.5};
    case Symmetry::kSymRestricted: return {-(half - 1), half - 1, half - 1};
    default: fail(ErrorCode::kInternal, "activations have no symmetry '{}'", symmetry_name(scheme.symmetry));
  }
}

at::Tensor nearest_code(const at::Tensor& scaled, const ActivationScheme& scheme, const Codes& codes) {
  if (scheme.type == ActivationScheme::Type::kInteger) return scaled.round();
  return to_dtype(to_dtype(scaled.clamp(codes.low, codes.high), DType::kFloat8E4M3), DType::kFloat32);
}

at::Tensor never_zero(const at::Tensor& scale) { return scale.masked_fill(scale.eq(0), 1.0); }

// Numbers along the last dimension share a range that is theirs alone.
at::Tensor round_rows(const at::Tensor& x, const ActivationScheme& scheme) {
  const Codes codes = codes_of(scheme);
  if (scheme.symmetry != Symmetry::kAsymmetric) {
    const at::Tensor scale = never_zero(x.abs().amax({-1}, true).div(codes.span));
    return nearest_code(x.div(scale), scheme, codes).clamp(codes.low, codes.high).mul(scale);
  }
  const at::Tensor low = x.amin({-1}, true).clamp_max(0);
  const at::Tensor high = x.amax({-1}, true).clamp_min(0);
  const at::Tensor scale = never_zero(high.sub(low).div(codes.span));
  const at::Tensor zero = low.neg().div(scale).round().add(codes.low);
  return x.div(scale).round().add(zero).clamp(codes.low, codes.high).sub(zero).mul(scale);
}

at::Tensor round_static(const at::Tensor& x, const ActivationScheme& scheme, const StaticRange& range) {
  const Codes codes = codes_of(scheme);
  const at::Tensor code = nearest_code(x.div(range.scale), scheme, codes).add(range.zero);
  return code.clamp(codes.low, codes.high).sub(range.zero).mul(range.scale);
}

at::Tensor round_groups(const at::Tensor& x, const ActivationScheme& scheme) {
  const std::int64_t width = x.size(-1);
  const std::int64_t whole = width / scheme.group * scheme.group;
  std::vector<at::Tensor> parts;
  if (whole > 0) {
    const at::Tensor grouped = x.narrow(-1, 0, whole).unflatten(-1, {whole / scheme.group, scheme.group});
    parts.push_back(round_rows(grouped, scheme).flatten(-2));
  }
  if (whole < width) parts.push_back(round_rows(x.narrow(-1, whole, width - whole), scheme));
  return parts.size() == 1 ? parts.front() : concatenate(parts, -1);
}

}  // namespace

StaticRange cover_range(const ActivationScheme& scheme, double low, double high) {
  const Codes codes = codes_of(scheme);
  const bool asymmetric = scheme.symmetry == Symmetry::kAsymmetric;
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  const double covered = asymmetric ? high - low : std::max(-low, high);
  StaticRange range;
  range.scale = static_cast<float>(covered / codes.span);
  if (range.scale == 0) range.scale = 1;
  if (asymmetric) range.zero = static_cast<int>(std::nearbyint(-low / range.scale) + codes.low);
  return range;
}

at::Tensor round_input(const at::Tensor& x, const ActivationScheme& scheme, const StaticRange& range) {
  const at::Tensor wide = to_dtype(x, DType::kFloat32);
  switch (scheme.per) {
    case ActivationScheme::Per::kToken: return to_dtype(round_rows(wide, scheme), dtype_of(x));
    case ActivationScheme::Per::kTensor: return to_dtype(round_static(wide, scheme, range), dtype_of(x));
    case ActivationScheme::Per::kGroup: return to_dtype(round_groups(wide, scheme), dtype_of(x));
  }
  return x;
}

}  // namespace lowbit
