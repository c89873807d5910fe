#include "tensor/silu.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "tensor/exponential.h"

namespace lowbit {

#if defined(__x86_64__)

namespace {

constexpr std::int64_t kLanes = 8;

LOWBIT_AVX2 [[gnu::always_inline]] inline __m256 silu_of(__m256 x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  const __m256 e = exponential(_mm256_or_ps(x, sign));
  const __m256 negative = _mm256_mul_ps(x, e);
  const __m256 numerator = _mm256_blendv_ps(x, negative, x);  // by the sign of x
  return _mm256_div_ps(numerator, _mm256_add_ps(_mm256_set1_ps(1.0F), e));
}

// out = silu(x), or silu(x) times `up` where it is given.
LOWBIT_AVX2 [[gnu::always_inline]] inline void run(const float* x, const float* up, std::int64_t count, float* out) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const __m256 value = silu_of(_mm256_loadu_ps(x + i));
    _mm256_storeu_ps(out + i, up == nullptr ? value : _mm256_mul_ps(value, _mm256_loadu_ps(up + i)));
  }
  if (i == count) return;
  float rest[kLanes] = {};
  float factors[kLanes] = {};
  std::copy(x + i, x + count, rest);
  if (up != nullptr) std::copy(up + i, up + count, factors);
  const __m256 value = silu_of(_mm256_loadu_ps(rest));
  _mm256_storeu_ps(rest, up == nullptr ? value : _mm256_mul_ps(value, _mm256_loadu_ps(factors)));
  std::copy_n(rest, count - i, out + i);
}

}  // namespace

LOWBIT_AVX2 void silu_numbers(const float* x, std::int64_t count, float* out) { run(x, nullptr, count, out); }
LOWBIT_AVX2 void silu_product_numbers(float* gate, const float* up, std::int64_t count) { run(gate, up, count, gate); }

#else

void silu_numbers(const float*, std::int64_t, float*) {
  fail(ErrorCode::kInternal, "silu: this processor has no AVX2");
}
void silu_product_numbers(float*, const float*, std::int64_t) {
  fail(ErrorCode::kInternal, "silu: this processor has no AVX2");
}

#endif

}  // namespace lowbit
