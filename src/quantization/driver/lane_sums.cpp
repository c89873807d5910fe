#include "quantization/driver/lane_sums.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/avx2.h"
#include "base/every_isa.h"

namespace lowbit {
namespace {

constexpr std::int64_t kLanes = 16;

// Four numbers at once, which every instruction set turns well from float32 into float64.
using Floats = float __attribute__((vector_size(16)));
using Doubles = double __attribute__((vector_size(32)));
constexpr std::int64_t kVectors = kLanes / 4;

// kLanes sums side by side, to be added up one after the other.
struct LaneSums {
  Doubles sums[kVectors] = {};

  [[gnu::always_inline]] void add(std::int64_t vector, const Doubles& terms) { sums[vector] += terms; }
  [[nodiscard]] double total() const {
    double lanes[kLanes];
    std::memcpy(lanes, sums, sizeof sums);
    return sum_of(lanes);
  }
};

// add(vector, x, y) for each four numbers of both rows, those behind the end zero.
template <typename Add>
[[gnu::always_inline]] inline void for_each_four(const float* a, const float* b, std::int64_t count, const Add& add) {
  const auto add_lanes = [&](const float* left, const float* right) __attribute__((always_inline)) {
    for (std::int64_t vector = 0; vector < kVectors; ++vector) {
      Floats x;
      Floats y;
      std::memcpy(&x, left + 4 * vector, sizeof x);
      std::memcpy(&y, right + 4 * vector, sizeof y);
      add(vector, x, y);
    }
  };
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t c = 0; c < whole; c += kLanes) add_lanes(a + c, b + c);
  if (whole == count) return;
  float left[kLanes] = {};
  float right[kLanes] = {};
  std::copy(a + whole, a + count, left);
  std::copy(b + whole, b + count, right);
  add_lanes(left, right);
}

LOWBIT_EVERY_ISA
RowSquares squares_by_fours(const float* original, const float* solved, std::int64_t columns) {
  LaneSums squares;
  LaneSums changes;
  for_each_four(
      original, solved,
      columns, [&](std::int64_t vector, const Floats& x, const Floats& y) __attribute__((always_inline)) {
        const Doubles number = __builtin_convertvector(x, Doubles);
        const Doubles change = __builtin_convertvector(x - y, Doubles);
        squares.add(vector, number * number);
        changes.add(vector, change * change);
      });
  return {squares.total(), changes.total()};
}

#if defined(__x86_64__)

LOWBIT_AVX512 double total_of(const __m512d (&sums)[2]) {
  double lanes[kLanes];
  std::memcpy(lanes, sums, sizeof sums);
  return sum_of(lanes);
}

// Written out, since compilers turn eight numbers from float32 into float64 badly; masked, since GCC 12 believes that
// the plain conversion reads what nobody wrote.
LOWBIT_AVX512 RowSquares squares_by_eights(const float* original, const float* solved, std::int64_t columns) {
  __m512d squares[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  __m512d changes[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  constexpr __mmask8 kAll = 0xFF;
  const std::int64_t whole = columns / kLanes * kLanes;
  float last_original[kLanes] = {};
  float last_solved[kLanes] = {};
  std::copy(original + whole, original + columns, last_original);
  std::copy(solved + whole, solved + columns, last_solved);
  for (std::int64_t c = 0; c < columns; c += kLanes) {
    const float* x = c < whole ? original + c : last_original;
    const float* y = c < whole ? solved + c : last_solved;
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256 numbers = _mm256_loadu_ps(x + 8 * half);
      const __m512d number = _mm512_maskz_cvtps_pd(kAll, numbers);
      const __m512d change = _mm512_maskz_cvtps_pd(kAll, _mm256_sub_ps(numbers, _mm256_loadu_ps(y + 8 * half)));
      squares[half] = _mm512_add_pd(squares[half], _mm512_mul_pd(number, number));
      changes[half] = _mm512_add_pd(changes[half], _mm512_mul_pd(change, change));
    }
  }
  return {total_of(squares), total_of(changes)};
}

#endif

}  // namespace

double sum_of(std::span<const double> numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number;
  return sum;
}

LOWBIT_EVERY_ISA
double sum_of_products(const float* a, const float* b, std::int64_t count) {
  LaneSums products;
  for_each_four(
      a, b, count, [&](std::int64_t vector, const Floats& x, const Floats& y) __attribute__((always_inline)) {
        products.add(vector, __builtin_convertvector(x, Doubles) * __builtin_convertvector(y, Doubles));
      });
  return products.total();
}

RowSquares squares_of_row(const float* original, const float* solved, std::int64_t columns) {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx512f");
  if (wide) return squares_by_eights(original, solved, columns);
#endif
  return squares_by_fours(original, solved, columns);
}

}  // namespace lowbit
