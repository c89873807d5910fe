#include "tensor/softmax_columns.h"

#if defined(__x86_64__)
#include "tensor/exponential.h"

namespace lowbit {
namespace {

LOWBIT_AVX2 void softmax_eight(float* scores, std::int64_t rows, std::int64_t stride, float scale, float* sums) {
  __m256 largest = _mm256_load_ps(scores);
  for (std::int64_t row = 1; row < rows; ++row) {
    largest = _mm256_max_ps(largest, _mm256_load_ps(scores + row * stride));
  }
  const __m256 factor = _mm256_set1_ps(scale);
  __m256 sum = _mm256_setzero_ps();
  for (std::int64_t row = 0; row < rows; ++row) {
    const __m256 difference = _mm256_sub_ps(_mm256_load_ps(scores + row * stride), largest);
    const __m256 share = exponential(_mm256_mul_ps(difference, factor));
    sum = _mm256_add_ps(sum, share);
    _mm256_store_ps(scores + row * stride, share);
  }
  _mm256_storeu_ps(sums, sum);
}

}  // namespace

void softmax_columns_avx2(float* scores, std::int64_t rows, std::int64_t stride, float scale, float* sums) {
  softmax_eight(scores, rows, stride, scale, sums);
  softmax_eight(scores + 8, rows, stride, scale, sums + 8);
}

LOWBIT_AVX512 void softmax_columns_avx512(float* scores, std::int64_t rows, std::int64_t stride, float scale,
                                          float* sums) {
  __m512 largest = _mm512_loadu_ps(scores);
  for (std::int64_t row = 1; row < rows; ++row) {
    largest = _mm512_max_ps(largest, _mm512_loadu_ps(scores + row * stride));
  }
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t row = 0; row < rows; ++row) {
    const __m512 difference = _mm512_sub_ps(_mm512_loadu_ps(scores + row * stride), largest);
    const __m512 share = exponential(_mm512_mul_ps(difference, factor));
    sum = _mm512_add_ps(sum, share);
    _mm512_storeu_ps(scores + row * stride, share);
  }
  _mm512_storeu_ps(sums, sum);
}

}  // namespace lowbit
#endif
