#include "quantization/kv_cache/decode_codes.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lowbit {
namespace {

constexpr std::int64_t kLanes = 8;

// The bits from code `index` on: at least 57, and 64 where codes are bytes, which hold eight codes either way.
std::uint64_t bits_from(const CodeStream& codes, std::int64_t index) {
  const std::int64_t bit = index * codes.bits;
  std::uint64_t bits = 0;
  std::memcpy(&bits, reinterpret_cast<const char*>(codes.words) + bit / 8, sizeof(bits));
  return bits >> (bit % 8);
}

void decode_plainly(const CodeStream& codes, std::int64_t begin, std::int64_t count, const float* scales,
                    const float* minima, float* numbers) {
  const std::uint64_t mask = (std::uint64_t{1} << codes.bits) - 1;
  for (std::int64_t i = begin; i < count; ++i) {
    numbers[i] = static_cast<float>(bits_from(codes, codes.first + i) & mask) * scales[i] + minima[i];
  }
}

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2"); }

[[gnu::target("avx2")]] void decode_eights(const CodeStream& codes, std::int64_t count, const float* scales,
                                           const float* minima, float* numbers) {
  const std::int64_t b = codes.bits;
  const __m256i low_shifts = _mm256_setr_epi64x(0, b, 2 * b, 3 * b);
  const __m256i high_shifts = _mm256_setr_epi64x(4 * b, 5 * b, 6 * b, 7 * b);
  const __m256i mask = _mm256_set1_epi32((1 << b) - 1);
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const __m256i bits = _mm256_set1_epi64x(static_cast<std::int64_t>(bits_from(codes, codes.first + i)));
    const __m256 low = _mm256_castsi256_ps(_mm256_srlv_epi64(bits, low_shifts));
    const __m256 high = _mm256_castsi256_ps(_mm256_srlv_epi64(bits, high_shifts));
    const __m256i mixed = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));  // 0 1 4 5 | 2 3 6 7
    const __m256i in_order = _mm256_permute4x64_epi64(mixed, 0xd8);
    const __m256 code = _mm256_cvtepi32_ps(_mm256_and_si256(in_order, mask));
    const __m256 product = _mm256_mul_ps(code, _mm256_loadu_ps(scales + i));
    _mm256_storeu_ps(numbers + i, _mm256_add_ps(product, _mm256_loadu_ps(minima + i)));
  }
}
#else
bool has_avx2() { return false; }
void decode_eights(const CodeStream&, std::int64_t, const float*, const float*, float*) {}
#endif

}  // namespace

void decode_codes(const CodeStream& codes, std::int64_t count, const float* scales, const float* minima,
                  float* numbers) {
  static const bool fast = has_avx2();
  const std::int64_t eights = fast ? count / kLanes * kLanes : 0;
  if (eights > 0) decode_eights(codes, eights, scales, minima, numbers);
  decode_plainly(codes, eights, count, scales, minima, numbers);
}

}  // namespace lowbit
