#include "formats/grid_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/uniform_grid.h"
#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/kernels/two_level.h"
#include "lowbit/tensor/factory.h"

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

// `rounded`, whose sign is that of `value`, kept finite and other than 0.
float kept_between(float smallest, float largest, float rounded, float value) {
  return std::copysign(std::clamp(std::abs(rounded), smallest, largest), value);
}

// The nearest positive E4M3 number over the whole weight's number.
float round_e4m3(float value, float tensor_scale) {
  const Codebook& e4m3 = find_codebook("e4m3");
  const float rounded = e4m3.table[nearest_code(e4m3, std::min(value * tensor_scale, e4m3.largest))];
  return std::max(rounded, e4m3.table[1]) / tensor_scale;
}

// 2^(floor(log2 m) - floor(log2 c)), with m rounded to `significand_bits` first when these are not negative.
float power_of_two_scale(float largest, const Codebook& codebook, int significand_bits) {
  int exponent = std::ilogb(largest);
  if (significand_bits >= 0) {
    const float significand = std::ldexp(largest, -exponent);  // in [1, 2)
    if (significand >= 2.0F - std::ldexp(1.0F, -significand_bits - 1)) ++exponent;
  }
  return std::ldexp(1.0F, std::clamp(exponent - std::ilogb(codebook.largest), -127, 127));
}

}  // namespace

float round_scale(float value, ScaleType type, float tensor_scale) {
  if (value == 0.0F) return value;
  switch (type) {
    case ScaleType::kFloat16: return kept_between(0x1p-24F, 65504.0F, half_to_float(float_to_half(value)), value);
    case ScaleType::kBFloat16:
      return kept_between(0x1p-133F, 0x1.FEp127F, bfloat16_to_float(float_to_bfloat16(value)), value);
    case ScaleType::kFloat32: return kept_between(0x1p-149F, std::numeric_limits<float>::max(), value, value);
    case ScaleType::kE8M0:
      if (value < 0.0F) fail(ErrorCode::kInternal, "scale {} is negative, which type e8m0 cannot hold", value);
      return round_e8m0(std::min(value, std::numeric_limits<float>::max()));
    case ScaleType::kE4M3:
      if (value < 0.0F)
        fail(ErrorCode::kInternal, "scale {} is negative, which a grid with e4m3 scales has not", value);
      if (!(tensor_scale > 0.0F)) fail(ErrorCode::kInternal, "a grid with e4m3 scales is not bound to a weight");
      return round_e4m3(value, tensor_scale);
    case ScaleType::kUint8: fail(ErrorCode::kInternal, "a scale of type uint8 is not rounded without its row");
  }
  fail(ErrorCode::kInternal, "unknown scale type {}", static_cast<int>(type));
}

float fit_row_scale(std::span<const float> row) {
  float largest = 0.0F;
  for (const float value : row) largest = std::max(largest, std::abs(value));
  return round_scale((largest == 0.0F ? 1.0F : largest) / 119.0F, ScaleType::kBFloat16);
}

GridSpec row_grid(const GridSpec& grid, float row_scale) {
  GridSpec result = grid;
  result.tensor_scale = row_scale;
  return result;
}

GroupGrid::GroupGrid(const GridSpec& grid) : grid_(grid) {
  grid.check();
  if (grid.kind == GridKind::kCodebook) codebook_ = &find_codebook(grid.codebook);
  top_ = static_cast<float>((1 << grid.bits) - 1);
  half_ = static_cast<float>(1 << (grid.bits - 1));
}

GroupGrid::Range GroupGrid::range_of(std::span<const float> values) const {
  const Range range = extremes_with_zero(values.data(), static_cast<std::int64_t>(values.size()));
  if (range.low == 0.0F && range.high == 0.0F) {
    // Any grid will do that holds 0: with a real zero one that begins there.
    return {grid_.kind == GridKind::kOffset ? 0.0F : -1.0F, 1.0F};
  }
  if (grid_.kind == GridKind::kOffset) return offset_range(values, range);
  const float largest = std::max(-range.low, range.high);
  if (grid_.scale_rule == ScaleRule::kAbsmean) {
    double sum = 0.0;
    for (const float value : values) sum += std::abs(static_cast<double>(value));
    const auto mean = static_cast<float>(sum / static_cast<double>(values.size()));
    return {-mean, mean};
  }
  if (codebook_ != nullptr || grid_.symmetry == Symmetry::kSymOffset || grid_.symmetry == Symmetry::kSymRestricted) {
    return {-largest, largest};
  }
  if (grid_.symmetry == Symmetry::kSymFullSigned) {
    // Only the dominant side counts; the negative one on a tie.
    return -range.low >= range.high ? Range{range.low, 0.0F} : Range{0.0F, range.high};
  }
  return range;
}

// A real zero need not be a code, so the range need not hold 0. It is widened until it is at least half as wide as it
// is far from 0, which keeps zeros within -top .. 2 top, where 16 bits hold them well.
GroupGrid::Range GroupGrid::offset_range(std::span<const float> values, const Range& with_zero) const {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (*low > 0.0F) return {std::min(*low, with_zero.high / 2.0F), *high};
  if (*high < 0.0F) return {*low, std::max(*high, with_zero.low / 2.0F)};
  return {*low, *high};
}

float GroupGrid::scale_of(const Range& range) const {
  if (codebook_ != nullptr) {
    switch (grid_.scale_rule) {
      case ScaleRule::kAbsmax:
      case ScaleRule::kAbsmean: return range.high / codebook_->largest;
      case ScaleRule::kFloor: return power_of_two_scale(range.high, *codebook_, -1);
      case ScaleRule::kEven: return power_of_two_scale(range.high, *codebook_, codebook_->significand_bits);
    }
  }
  switch (grid_.symmetry) {
    case Symmetry::kAsymmetric:
    case Symmetry::kSymOffset: {
      const float width = range.high - range.low;
      return std::isfinite(width) ? width / top_ : range.high / top_ - range.low / top_;
    }
    case Symmetry::kSymRestricted: return range.high / (half_ - 1.0F);
    case Symmetry::kSymFullSigned: return (range.low + range.high) / -half_;
  }
  fail(ErrorCode::kInternal, "unknown symmetry {}", static_cast<int>(grid_.symmetry));
}

float GroupGrid::stored_scale(float scale) const {
  // A range of denormals may give 0.
  if (scale == 0.0F) scale = std::numeric_limits<float>::min();
  if (grid_.scale_type == ScaleType::kUint8) {
    if (!(grid_.tensor_scale > 0.0F)) fail(ErrorCode::kInternal, "a grid with uint8 scales is not bound to a row");
    const auto most = static_cast<float>(kernels::largest_whole_scale(grid_.bits));
    return grid_.tensor_scale * std::clamp(std::nearbyint(scale / grid_.tensor_scale), 1.0F, most);
  }
  return grid_.nested_bits > 0 ? scale : round_scale(scale, grid_.scale_type, grid_.tensor_scale);
}

float GroupGrid::zero_for(float low, float scale) const {
  if (codebook_ != nullptr) return 0.0F;
  if (grid_.symmetry != Symmetry::kAsymmetric) return half_;
  const float real_zero = -low / scale;
  if (grid_.kind == GridKind::kInteger) return whole_zero(real_zero, scale);
  const float bounded = std::clamp(real_zero, -2.0F * top_, 2.0F * top_);
  if (bounded == 0.0F) return 0.0F;
  return grid_.nested_bits > 0 ? bounded : round_scale(bounded, grid_.scale_type);
}

float GroupGrid::whole_zero(float real_zero, float scale) const {
  // max with 0 first turns -0 into 0.
  const float zero = std::nearbyint(std::min(std::max(0.0F, real_zero), top_));
  if (grid_.scale_type != ScaleType::kUint8) return zero;
  const auto range = kernels::zeros_for(static_cast<int>(scale / grid_.tensor_scale), grid_.bits);
  return std::clamp(zero, static_cast<float>(range.low), static_cast<float>(range.high));
}

GroupFit GroupGrid::fit_of(const Range& range) const {
  const float scale = stored_scale(scale_of(range));
  return {scale, zero_for(range.low, scale), range.low};
}

GroupFit GroupGrid::fit_min_max(std::span<const float> values) const {
  GroupFit fit = fit_of(range_of(values));
  fit.empty = std::all_of(values.begin(), values.end(), [](float value) { return value == 0.0F; });
  return fit;
}

GroupFit GroupGrid::fit_clipped(std::span<const float> values, const ClipSearch& search) const {
  const Range range = range_of(values);
  const GroupFit whole = fit_min_max(values);
  if (whole.empty) return whole;
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
                            : approximate_error(values.data(), static_cast<std::int64_t>(values.size()), uniform(fit),
                                                unit, static_cast<float>(search.norm));
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
  encode_uniform(values.data(), static_cast<std::int64_t>(values.size()), uniform(fit), codes);
}

UniformGrid GroupGrid::uniform(const GroupFit& fit) const {
  return {fit.scale, fit.zero, top_, grid_.kind == GridKind::kOffset};
}

float GroupGrid::decode(std::uint8_t code, const GroupFit& fit) const {
  if (codebook_ != nullptr) return fit.scale * codebook_->table[code];
  return fit.scale * (static_cast<float>(code) - fit.zero);
}

NestedScales nest_values(std::span<float> values, const GridSpec& grid) {
  const auto run = static_cast<std::size_t>(grid.nested_run);
  const std::size_t runs = (values.size() + run - 1) / run;
  const float top = static_cast<float>((1 << grid.nested_bits) - 1);
  NestedScales nested;
  nested.bits = grid.nested_bits;
  nested.run = grid.nested_run;
  nested.type = grid.scale_type;
  nested.codes = make_empty({static_cast<std::int64_t>(values.size()), 1}, DType::kUInt8);
  nested.scales = make_empty({static_cast<std::int64_t>(runs), 1}, DType::kFloat32);
  nested.zeros = make_empty({static_cast<std::int64_t>(runs), 1}, DType::kFloat32);
  const auto codes = mutable_values_of<std::uint8_t>(nested.codes);
  for (std::size_t r = 0; r < runs; ++r) {
    const auto part = values.subspan(r * run, std::min(run, values.size() - r * run));
    const auto [low, high] = std::minmax_element(part.begin(), part.end());
    const float largest = std::max(std::abs(*low), std::abs(*high));
    // A floor under the scale keeps the zero within 1024, where 16 bits hold it well.
    const float step = std::max((*high - *low) / top, largest * 0x1p-10F);
    const float scale = step > 0.0F ? round_scale(step, grid.scale_type) : 1.0F;
    const float zero = *low == 0.0F ? 0.0F : round_scale(-*low / scale, grid.scale_type);
    mutable_values_of<float>(nested.scales)[r] = scale;
    mutable_values_of<float>(nested.zeros)[r] = zero;
    for (std::size_t i = 0; i < part.size(); ++i) {
      const float code = std::clamp(std::nearbyint(part[i] / scale + zero), 0.0F, top);
      codes[r * run + i] = static_cast<std::uint8_t>(code);
      part[i] = scale * (code - zero);
    }
  }
  return nested;
}

}  // namespace lowbit
