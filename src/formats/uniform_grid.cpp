#include "formats/uniform_grid.h"

#include <algorithm>
#include <cstring>

#include "formats/vector_math.h"

namespace lowbit {
namespace {

// The codes of eight numbers, as numbers. The bounds are whole, so that rounding after them gives what rounding before
// them would, of numbers small enough to be rounded by an addition.
[[gnu::always_inline]] inline void to_codes(Floats& value, const UniformGrid& grid) {
  value = value / grid.scale;
  const float shift = grid.real_zero ? 0.0F : grid.zero;
  if (grid.real_zero) value = value + grid.zero;
  clamp_to(value, -shift, grid.top - shift);
  round_small(value);
  value = value + shift;
}

// |scale (q - zero) - value| * unit
[[gnu::always_inline]] inline void distance(Floats& value, const UniformGrid& grid, float unit) {
  Floats code = value;
  to_codes(code, grid);
  const Floats error = ((code - grid.zero) * grid.scale - value) * unit;
  // By its sign bit, which a tiny negative error that has become -0 has too.
  value = reinterpret_cast<Floats>(reinterpret_cast<Integers>(error) & 0x7FFFFFFF);
}

// work(x, i) of eight numbers from `i` on; behind the end they are zero.
template <typename Work>
[[gnu::always_inline]] inline void for_each_eight(const float* values, std::int64_t count, const Work& work) {
  const std::int64_t whole = count / kLanes * kLanes;
  Floats x;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    std::memcpy(&x, values + i, sizeof x);
    work(x, i);
  }
  if (whole == count) return;
  x = Floats{};
  std::memcpy(&x, values + whole, static_cast<std::size_t>(count - whole) * sizeof(float));
  work(x, whole);
}

}  // namespace

// All versions execute the same IEEE operations in the same order; only their width differs.
LOWBIT_EVERY_ISA
void encode_uniform(const float* values, std::int64_t count, const UniformGrid& grid, std::uint8_t* codes) {
  constexpr std::int64_t kRun = 64;  // the usual group
  const UniformGrid own = grid;      // which the codes written do not change, for all that a compiler knows
  std::int32_t run[kRun];
  for (std::int64_t begin = 0; begin < count; begin += kRun) {
    const std::int64_t here = std::min(kRun, count - begin);
    for_each_eight(
        values + begin, here, [&](Floats & x, std::int64_t i) __attribute__((always_inline)) {
          to_codes(x, own);
          const Integers whole = __builtin_convertvector(x, Integers);
          std::memcpy(run + i, &whole, sizeof whole);
        });
    // By itself, since compilers narrow an array well and eight numbers badly.
    for (std::int64_t i = 0; i < here; ++i) codes[begin + i] = static_cast<std::uint8_t>(run[i]);
  }
}

LOWBIT_EVERY_ISA
Extremes extremes_with_zero(const float* values, std::int64_t count) {
  Floats low = {};
  Floats high = {};
  for_each_eight(
      values, count, [&](Floats & x, std::int64_t) __attribute__((always_inline)) {
        low = x < low ? x : low;
        high = x > high ? x : high;
      });
  float lows[kLanes];
  float highs[kLanes];
  std::memcpy(lows, &low, sizeof low);
  std::memcpy(highs, &high, sizeof high);
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) {
      lows[lane] = std::min(lows[lane], lows[lane + half]);
      highs[lane] = std::max(highs[lane], highs[lane + half]);
    }
  }
  return {lows[0], highs[0]};
}

LOWBIT_EVERY_ISA
void decode_uniform(const std::uint8_t* codes, std::size_t count, float scale, float zero, float* values) {
  for (std::size_t i = 0; i < count; ++i) values[i] = scale * (static_cast<float>(codes[i]) - zero);
}

LOWBIT_EVERY_ISA
float approximate_error(const float* values, std::int64_t count, const UniformGrid& grid, float unit, float norm) {
  Floats sums = {};
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    Floats x;
    std::memcpy(&x, values + i, sizeof x);
    distance(x, grid, unit);
    raise_to(x, norm);
    sums = sums + x;
  }
  if (whole < count) {
    // Lanes behind the end compute on zeros and are not counted.
    Floats x = {};
    std::memcpy(&x, values + whole, static_cast<std::size_t>(count - whole) * sizeof(float));
    distance(x, grid, unit);
    raise_to(x, norm);
    for (std::int64_t lane = 0; lane < count - whole; ++lane) sums[lane] += x[lane];
  }
  float total = 0.0F;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) total += sums[lane];
  return total;
}

}  // namespace lowbit
