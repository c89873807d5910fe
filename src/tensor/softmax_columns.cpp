#include "tensor/softmax_columns.h"

#include "lowbit/base/error.h"
#include "tensor/exponential.h"

namespace lowbit {

#if defined(__x86_64__)

namespace {

LOWBIT_AVX2 void softmax_eight(float* scores, std::int64_t rows, float scale, float* sums) {
  constexpr std::int64_t kStride = 16;
  __m256 largest = _mm256_load_ps(scores);
  for (std::int64_t row = 1; row < rows; ++row) {
    largest = _mm256_max_ps(largest, _mm256_load_ps(scores + row * kStride));
  }
  const __m256 factor = _mm256_set1_ps(scale);
  __m256 sum = _mm256_setzero_ps();
  for (std::int64_t row = 0; row < rows; ++row) {
    const __m256 difference = _mm256_sub_ps(_mm256_load_ps(scores + row * kStride), largest);
    const __m256 share = exponential(_mm256_mul_ps(difference, factor));
    sum = _mm256_add_ps(sum, share);
    _mm256_store_ps(scores + row * kStride, share);
  }
  _mm256_storeu_ps(sums, sum);
}

}  // namespace

void softmax_columns(float* scores, std::int64_t rows, float scale, float* sums) {
  softmax_eight(scores, rows, scale, sums);
  softmax_eight(scores + 8, rows, scale, sums + 8);
}

#else

void softmax_columns(float*, std::int64_t, float, float*) {
  fail(ErrorCode::kInternal, "softmax_columns: this processor has no AVX2");
}

#endif

}  // namespace lowbit
