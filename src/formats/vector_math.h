#pragma once

#include <cstdint>

#include "base/every_isa.h"

// Arithmetic on eight numbers at once that rounds alike on every instruction set; for sources whose functions are built
// once for each of them.
namespace lowbit {

// Eight numbers at once: one AVX register, or two SSE ones. Handed on by reference, since how such types are passed by
// value depends on the instruction set.
using Floats = float __attribute__((vector_size(32)));
using Integers = std::int32_t __attribute__((vector_size(32)));
constexpr std::int64_t kLanes = 8;

// Adding and taking away 1.5 * 2^23 rounds half to even for |x| < 2^22.
[[gnu::always_inline]] inline void round_small(Floats& x) { x = (x + 12582912.0F) - 12582912.0F; }

[[gnu::always_inline]] inline void clamp_to(Floats& x, float low, float high) {
  const Floats lows = Floats{} + low;
  const Floats highs = Floats{} + high;
  x = x < lows ? lows : x;
  x = x > highs ? highs : x;
}

// x^norm for x >= 0 (0 gives a number below 1e-37), relative error below 4e-6 for norms up to 8: 2^(norm log2 x) with
// Chebyshev-fitted polynomials on [sqrt(1/2), sqrt(2)] and [-1/2, 1/2].
[[gnu::always_inline]] inline void raise_to(Floats& x, float norm) {
  constexpr std::int32_t kRootHalf = 0x3f3504f3;  // the bits of sqrt(1/2)
  const Integers bits = reinterpret_cast<Integers>(x);
  const Integers exponent = (bits - kRootHalf) >> 23;
  const Integers mantissa = bits - (exponent << 23);
  const Floats f = reinterpret_cast<Floats>(mantissa) - 1.0F;
  Floats log2 = f * -0.14620353F + 0.23420985F;
  log2 = log2 * f - 0.24882181F;
  log2 = log2 * f + 0.28707561F;
  log2 = log2 * f - 0.36024199F;
  log2 = log2 * f + 0.48092404F;
  log2 = log2 * f - 0.72135276F;
  log2 = log2 * f + 1.44269496F;
  log2 = log2 * f + __builtin_convertvector(exponent, Floats);
  Floats y = log2 * norm;
  clamp_to(y, -125.0F, 125.0F);
  Floats whole = y;
  round_small(whole);
  const Floats t = y - whole;
  Floats exp2 = t * 0.00134004F + 0.00967604F;
  exp2 = exp2 * t + 0.05550327F;
  exp2 = exp2 * t + 0.24022107F;
  exp2 = exp2 * t + 0.69314721F;
  exp2 = exp2 * t + 1.00000008F;
  const Integers power = reinterpret_cast<Integers>(exp2) + (__builtin_convertvector(whole, Integers) << 23);
  x = reinterpret_cast<Floats>(power);
}

}  // namespace lowbit
