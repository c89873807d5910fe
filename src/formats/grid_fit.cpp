#include "formats/grid_fit.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/clip_error.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

// The nearest power of two, half way to the even exponent; the type has no sign and no zero.
float round_e8m0(float value) {
  int exponent = 0;
  const float fraction = std::frexp(value, &exponent);  // value = fraction * 2^exponent, fraction in [1/2, 1)
  const int low = exponent - 1;
  const bool up = fraction > 0.75F || (fraction == 0.75F && low % 2 != 0);
  return std::ldexp(1.0F, std::clamp(up ? exponent : low, -127, 127));
}

template <typename Stored>
float round_to(float value) {
  const float largest = static_cast<float>(std::numeric_limits<Stored>::max());
  const float smallest = static_cast<float>(std::numeric_limits<Stored>::denorm_min());
  const float rounded = static_cast<float>(static_cast<Stored>(value));
  return std::copysign(std::clamp(std::abs(rounded), smallest, largest), value);
}

}  // namespace

float round_scale(float value, ScaleType type) {
  if (value == 0.0F) return value;
  switch (type) {
    case ScaleType::kFloat16: return round_to<c10::Half>(value);
    case ScaleType::kBFloat16: return round_to<c10::BFloat16>(value);
    case ScaleType::kFloat32: return round_to<float>(value);
    case ScaleType::kE8M0:
      if (value < 0.0F) fail(ErrorCode::kInternal, "scale {} is negative, which type e8m0 cannot hold", value);
      return round_e8m0(std::min(value, std::numeric_limits<float>::max()));
  }
  fail(ErrorCode::kInternal, "unknown scale type {}", static_cast<int>(type));
}

GroupGrid::GroupGrid(const GridSpec& grid) : grid_(grid) {
  grid.check();
  if (grid.kind == GridKind::kCodebook) codebook_ = &find_codebook(grid.codebook);
  top_ = static_cast<float>((1 << grid.bits) - 1);
  half_ = static_cast<float>(1 << (grid.bits - 1));
}

GroupGrid::Range GroupGrid::range_of(std::span<const float> values) const {
  Range range;  // starts at 0, so that the range always holds it
  for (const float value : values) {
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low == 0.0F && range.high == 0.0F) range = {-1.0F, 1.0F};  // any grid will do that holds 0
  const float largest = std::max(-range.low, range.high);
  if (codebook_ != nullptr || grid_.symmetry == Symmetry::kSymOffset || grid_.symmetry == Symmetry::kSymRestricted) {
    return {-largest, largest};
  }
  if (grid_.symmetry == Symmetry::kSymFullSigned) {
    // Only the dominant side counts; the negative one on a tie.
    return -range.low >= range.high ? Range{range.low, 0.0F} : Range{0.0F, range.high};
  }
  return range;
}

GroupFit GroupGrid::fit_of(const Range& range) const {
  if (codebook_ != nullptr) return {round_scale(range.high / codebook_->largest, grid_.scale_type), 0.0F};
  float scale = 0.0F;
  float zero = half_;
  switch (grid_.symmetry) {
    case Symmetry::kAsymmetric:
    case Symmetry::kSymOffset: {
      const float width = range.high - range.low;
      scale = std::isfinite(width) ? width / top_ : range.high / top_ - range.low / top_;
      break;
    }
    case Symmetry::kSymRestricted: scale = range.high / (half_ - 1.0F); break;
    case Symmetry::kSymFullSigned: scale = (range.low + range.high) / -half_; break;
  }
  // A range of denormals may give 0.
  if (scale == 0.0F) scale = std::numeric_limits<float>::min();
  scale = round_scale(scale, grid_.scale_type);
  if (grid_.symmetry == Symmetry::kAsymmetric) {
    // max with 0 first turns -0 into 0.
    const float real_zero = std::min(std::max(0.0F, -range.low / scale), top_);
    zero = grid_.kind == GridKind::kInteger ? std::nearbyint(real_zero)
           : real_zero == 0.0F              ? 0.0F
                                            : round_scale(real_zero, grid_.scale_type);
  }
  return {scale, zero};
}

GroupFit GroupGrid::fit_min_max(std::span<const float> values) const { return fit_of(range_of(values)); }

GroupFit GroupGrid::fit_clipped(std::span<const float> values, const ClipSearch& search) const {
  const Range range = range_of(values);
  const GroupFit whole = fit_of(range);
  const float largest = std::max(-range.low, range.high);
  // Below 2^-100 the reciprocal nears overflow; the errors are then far below any weight that matters.
  const float unit = 1.0F / std::max(largest, 0x1p-100F);
  const int candidates = static_cast<int>(search.max_shrink * search.grid_steps);
  GroupFit best = whole;
  float least = std::numeric_limits<float>::infinity();
  for (int i = 0; i < candidates; ++i) {
    const float share = static_cast<float>(1.0 - static_cast<double>(i) / search.grid_steps);
    const GroupFit fit = fit_of({share * range.low, share * range.high});
    const float error = codebook_ != nullptr
                            ? static_cast<float>(exact_error(values, fit, search.norm) * std::pow(unit, search.norm))
                            : approximate_error(values.data(), static_cast<std::int64_t>(values.size()),
                                                {fit.scale, fit.zero, top_, grid_.kind == GridKind::kOffset}, unit,
                                                static_cast<float>(search.norm));
    if (error < least) {
      least = error;
      best = fit;
    }
  }
  return exact_error(values, best, search.norm) < exact_error(values, whole, search.norm) ? best : whole;
}

double GroupGrid::exact_error(std::span<const float> values, const GroupFit& fit, double norm) const {
  double sum = 0.0;
  std::uint8_t code = 0;
  for (const float value : values) {
    encode({&value, 1}, fit, &code);
    sum += std::pow(std::abs(static_cast<double>(decode(code, fit)) - static_cast<double>(value)), norm);
  }
  return sum;
}

void GroupGrid::encode(std::span<const float> values, const GroupFit& fit, std::uint8_t* codes) const {
  if (codebook_ != nullptr) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      // A tiny float16 scale may make the quotient infinite; the clamp keeps its sign.
      const float quotient = std::clamp(values[i] / fit.scale, -2.0F * codebook_->largest, 2.0F * codebook_->largest);
      codes[i] = nearest_code(*codebook_, quotient);
    }
    return;
  }
  const bool integer = grid_.kind == GridKind::kInteger;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float quotient = std::clamp(values[i] / fit.scale, -1024.0F, 1024.0F);
    const float shifted = integer ? std::nearbyint(quotient) + fit.zero : std::nearbyint(quotient + fit.zero);
    codes[i] = static_cast<std::uint8_t>(std::clamp(shifted, 0.0F, top_));
  }
}

float GroupGrid::decode(std::uint8_t code, const GroupFit& fit) const {
  if (codebook_ != nullptr) return fit.scale * codebook_->table[code];
  return fit.scale * (static_cast<float>(code) - fit.zero);
}

}  // namespace lowbit
