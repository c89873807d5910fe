#include "formats/uniform_grid.h"

#include <algorithm>
#include <cstring>

#include "formats/vector_math.h"

namespace lowbit {
namespace {

// The codes of eight numbers, as numbers.
[[gnu::always_inline]] inline void to_codes(Floats& value, const UniformGrid& grid) {
  // Beyond +-1024 every code is clipped for zeros of 0..255, so the quotient may be cut there before it is rounded.
  value = value / grid.scale;
  clamp_to(value, -1024.0F, 1024.0F);
  if (grid.real_zero) value = value + grid.zero;
  round_small(value);
  if (!grid.real_zero) value = value + grid.zero;
  clamp_to(value, 0.0F, grid.top);
}

// |scale (q - zero) - value| * unit
[[gnu::always_inline]] inline void distance(Floats& value, const UniformGrid& grid, float unit) {
  Floats code = value;
  to_codes(code, grid);
  const Floats error = ((code - grid.zero) * grid.scale - value) * unit;
  value = error < Floats{} ? -error : error;
}

}  // namespace

// All versions execute the same IEEE operations in the same order; only their width differs.
LOWBIT_EVERY_ISA
void encode_uniform(const float* values, std::int64_t count, const UniformGrid& grid, std::uint8_t* codes) {
  constexpr std::int64_t kRun = 64;  // the usual group
  float run[kRun] = {};
  for (std::int64_t begin = 0; begin < count; begin += kRun) {
    const std::int64_t here = std::min(kRun, count - begin);
    std::memcpy(run, values + begin, static_cast<std::size_t>(here) * sizeof(float));
    for (std::int64_t i = 0; i < here; i += kLanes) {
      Floats x;
      std::memcpy(&x, run + i, sizeof x);
      to_codes(x, grid);
      std::memcpy(run + i, &x, sizeof x);
    }
    // By itself, since compilers narrow an array well and eight numbers badly.
    for (std::int64_t i = 0; i < here; ++i) codes[begin + i] = static_cast<std::uint8_t>(static_cast<int>(run[i]));
  }
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
