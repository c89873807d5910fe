#pragma once

#include "base/avx2.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lowbit {

// exp(x) for x <= 0, as 2^n exp(r) with n the integer nearest to x / ln 2 and |r| <= ln(2) / 2. Cephes' polynomial of
// degree 5 for (exp(r) - 1 - r) / r^2 errs by less than 2^-24 relative. Below -87 the result is 0. Eight numbers and
// sixteen go through the same operations.
namespace exponential_terms {
inline constexpr float kLowest = -87.0F;
inline constexpr float kInverseLn2 = 1.44269504088896341F;
inline constexpr float kLn2High = 0.693359375F;
inline constexpr float kLn2Low = -2.12194440e-4F;
inline constexpr float kPolynomial[] = {1.9875691500e-4F, 1.3981999507e-3F, 8.3334519073e-3F,
                                        4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F};
}  // namespace exponential_terms

LOWBIT_AVX2 [[gnu::always_inline]] inline __m256 exponential(__m256 x) {
  namespace terms = exponential_terms;
  const __m256 lowest = _mm256_set1_ps(terms::kLowest);
  const __m256 bounded = _mm256_max_ps(lowest, x);  // NaN stays: the second operand wins
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(bounded, _mm256_set1_ps(terms::kInverseLn2)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(terms::kLn2High), bounded);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(terms::kLn2Low), r);
  __m256 sum = _mm256_set1_ps(terms::kPolynomial[0]);
  for (int i = 1; i < 6; ++i) sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(terms::kPolynomial[i]));
  sum = _mm256_fmadd_ps(sum, _mm256_mul_ps(r, r), r);
  sum = _mm256_add_ps(sum, _mm256_set1_ps(1.0F));
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  const __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  const __m256 visible = _mm256_cmp_ps(x, lowest, _CMP_NLT_UQ);  // true for NaN
  return _mm256_and_ps(_mm256_mul_ps(sum, power), visible);
}

LOWBIT_AVX512 [[gnu::always_inline]] inline __m512 exponential(__m512 x) {
  namespace terms = exponential_terms;
  const __m512 lowest = _mm512_set1_ps(terms::kLowest);
  const __m512 bounded = _mm512_max_ps(lowest, x);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(bounded, _mm512_set1_ps(terms::kInverseLn2)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(terms::kLn2High), bounded);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(terms::kLn2Low), r);
  __m512 sum = _mm512_set1_ps(terms::kPolynomial[0]);
  for (int i = 1; i < 6; ++i) sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(terms::kPolynomial[i]));
  sum = _mm512_fmadd_ps(sum, _mm512_mul_ps(r, r), r);
  sum = _mm512_add_ps(sum, _mm512_set1_ps(1.0F));
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  const __m512 power = _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
  return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(x, lowest, _CMP_NLT_UQ), sum, power);
}

}  // namespace lowbit
#endif
