#include "quantization/solvers/rounding_sums.h"

#include <cstdint>
#include <cstring>

#include "formats/vector_math.h"

namespace lowbit {
namespace {

using Doubles = double __attribute__((vector_size(64)));

struct Grid {
  float scale, zero, top;
  bool real_zero;
};

struct Sums {
  Doubles error = {};
  Doubles product = {};
  Doubles squares = {};
};

[[gnu::always_inline]] inline void add(const Floats& weights, const Grid& grid, Sums& sums) {
  Floats code = weights / grid.scale;
  clamp_to(code, -1024.0F, 1024.0F);
  if (grid.real_zero) code = code + grid.zero;
  round_small(code);
  if (!grid.real_zero) code = code + grid.zero;
  clamp_to(code, 0.0F, grid.top);
  const Floats steps = code - grid.zero;
  const Doubles w = __builtin_convertvector(weights, Doubles);
  const Doubles k = __builtin_convertvector(steps, Doubles);
  const Doubles error = __builtin_convertvector(steps * grid.scale, Doubles) - w;
  sums.error = sums.error + error * error;
  sums.product = sums.product + w * k;
  sums.squares = sums.squares + k * k;
}

LOWBIT_EVERY_ISA
void sum_all(const float* weights, std::int64_t count, const Grid& grid, RoundingSums* result) {
  Sums sums;
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    Floats x;
    std::memcpy(&x, weights + i, sizeof x);
    add(x, grid, sums);
  }
  Sums rest;
  if (whole < count) {
    // Lanes behind the end compute on zeros and are not counted.
    Floats x = {};
    std::memcpy(&x, weights + whole, static_cast<std::size_t>(count - whole) * sizeof(float));
    add(x, grid, rest);
  }
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    const bool counts = lane < count - whole;
    result->squared_error += sums.error[lane] + (counts ? rest.error[lane] : 0.0);
    result->product += sums.product[lane] + (counts ? rest.product[lane] : 0.0);
    result->squares += sums.squares[lane] + (counts ? rest.squares[lane] : 0.0);
  }
}

}  // namespace

RoundingSums rounding_sums(std::span<const float> weights, float scale, float zero, float top, bool real_zero) {
  RoundingSums result;
  sum_all(weights.data(), static_cast<std::int64_t>(weights.size()), {scale, zero, top, real_zero}, &result);
  return result;
}

}  // namespace lowbit
