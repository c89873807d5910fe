#include "quantization/solvers/rounding_sums.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/vector_math.h"

namespace lowbit {
namespace {

// Four numbers, as one AVX register holds: sums of eight would live in memory.
using Doubles = double __attribute__((vector_size(32)));
constexpr std::int64_t kHalf = kLanes / 2;

struct Grid {
  float scale, zero, top;
  bool real_zero;
};

// Of lanes 0 to 3 and of lanes 4 to 7.
struct Sums {
  Doubles error[2] = {};
  Doubles product[2] = {};
  Doubles squares[2] = {};
};

template <int kPart>
[[gnu::always_inline]] inline void widen_half(const Floats& x, Doubles& result) {
  constexpr int kFirst = kPart * static_cast<int>(kHalf);
  result = __builtin_convertvector(__builtin_shufflevector(x, x, kFirst, kFirst + 1, kFirst + 2, kFirst + 3), Doubles);
}

template <int kPart>
[[gnu::always_inline]] inline void add_half(const Floats& weights, const Floats& steps, const Floats& values,
                                            Sums& sums) {
  Doubles w, k, value;
  widen_half<kPart>(weights, w);
  widen_half<kPart>(steps, k);
  widen_half<kPart>(values, value);
  const Doubles error = value - w;
  sums.error[kPart] = sums.error[kPart] + error * error;
  sums.product[kPart] = sums.product[kPart] + w * k;
  sums.squares[kPart] = sums.squares[kPart] + k * k;
}

[[gnu::always_inline]] inline void add(const Floats& weights, const Grid& grid, Sums& sums) {
  Floats code = weights / grid.scale;
  clamp_to(code, -1024.0F, 1024.0F);
  if (grid.real_zero) code = code + grid.zero;
  round_small(code);
  if (!grid.real_zero) code = code + grid.zero;
  clamp_to(code, 0.0F, grid.top);
  const Floats steps = code - grid.zero;
  const Floats values = steps * grid.scale;
  add_half<0>(weights, steps, values, sums);
  add_half<1>(weights, steps, values, sums);
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
    const auto half = static_cast<std::size_t>(lane / kHalf);
    const std::int64_t place = lane % kHalf;
    result->squared_error += sums.error[half][place] + (counts ? rest.error[half][place] : 0.0);
    result->product += sums.product[half][place] + (counts ? rest.product[half][place] : 0.0);
    result->squares += sums.squares[half][place] + (counts ? rest.squares[half][place] : 0.0);
  }
}

}  // namespace

RoundingSums rounding_sums(std::span<const float> weights, float scale, float zero, float top, bool real_zero) {
  RoundingSums result;
  sum_all(weights.data(), static_cast<std::int64_t>(weights.size()), {scale, zero, top, real_zero}, &result);
  return result;
}

}  // namespace lowbit
