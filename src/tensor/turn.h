#pragma once

#include <cstdint>

#include "base/avx2.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lowbit {

// Eight numbers of each of eight rows, turned; the target's rows are `target_stride` apart.
LOWBIT_AVX2 [[gnu::always_inline]] inline void turn_eight_by_eight(const float* rows, std::int64_t stride,
                                                                   float* target, std::int64_t target_stride) {
  __m256 pairs[8];
  for (int i = 0; i < 4; ++i) {
    const __m256 first = _mm256_loadu_ps(rows + 2 * i * stride);
    const __m256 second = _mm256_loadu_ps(rows + (2 * i + 1) * stride);
    pairs[2 * i] = _mm256_unpacklo_ps(first, second);
    pairs[2 * i + 1] = _mm256_unpackhi_ps(first, second);
  }
  __m256 fours[8];
  for (int half = 0; half < 2; ++half) {
    const __m256* p = pairs + 4 * half;
    fours[4 * half + 0] = _mm256_shuffle_ps(p[0], p[2], 0x44);
    fours[4 * half + 1] = _mm256_shuffle_ps(p[0], p[2], 0xee);
    fours[4 * half + 2] = _mm256_shuffle_ps(p[1], p[3], 0x44);
    fours[4 * half + 3] = _mm256_shuffle_ps(p[1], p[3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(target + i * target_stride, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20));
    _mm256_storeu_ps(target + (i + 4) * target_stride, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31));
  }
}

}  // namespace lowbit
#endif
