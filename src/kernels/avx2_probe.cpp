#include "kernels/avx2.h"
#include "kernels/probe_units.h"

namespace lowbit::kernels {

namespace {

constexpr int kSums = 10;  // enough to hide a product's latency

// The empty instruction keeps results that nobody reads.
template <typename Add>
[[gnu::always_inline]] inline void repeat(const std::uint8_t* bytes, std::int64_t rounds, Add&& add) {
  const __m256i left = load(bytes);
  const __m256i right = load(bytes + 32);
  __m256i sums[kSums];
  for (__m256i& sum : sums) sum = left;
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 10
    for (__m256i& sum : sums) add(sum, left, right);
  }
  for (__m256i& sum : sums) asm volatile("" : : "x"(sum));
}

void run_floats(const std::uint8_t* bytes, std::int64_t rounds) {
  // Numbers from 0 to 15, so that nothing is denormal; what grows, grows slowly.
  const __m256 left =
      _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
  const __m256 right = _mm256_mul_ps(left, _mm256_set1_ps(0.01F));
  __m256 sums[kSums];
  for (__m256& sum : sums) sum = left;
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 10
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(left, right, sum);
      asm volatile("" : "+x"(sum));
    }
  }
}

void run_words(const std::uint8_t* bytes, std::int64_t rounds) {
  repeat(bytes, rounds, [](__m256i& sum, __m256i left, __m256i right) { add_words(sum, left, right); });
}

void run_bytes(const std::uint8_t* bytes, std::int64_t rounds) {
  repeat(bytes, rounds, [](__m256i& sum, __m256i left, __m256i right) { add_bytes(sum, left, right); });
}

}  // namespace

ProbeUnits avx2_probe_units() {
  static constexpr ProbeUnit kUnits[] = {
      {"float32 fma, AVX2", kSums * 16, run_floats},
      {"int16 products into int32, AVX2", kSums * 32, run_words},
      {"int8 products into int16, AVX2", kSums * 64, run_bytes},
  };
  return {kUnits, 3};
}

// Memory is asked for ahead, as products do: the hardware's own prefetching ends with a page.
std::uint64_t avx2_combine(const std::uint64_t* words, std::int64_t count) {
  constexpr std::int64_t kFarWords = 8192 / 8;
  constexpr std::int64_t kNearWords = 2048 / 8;
  __m256i lanes[4] = {};
  for (std::int64_t i = 0; i < count; i += 16) {
    for (std::int64_t line = 0; line < 16; line += 8) {
      _mm_prefetch(reinterpret_cast<const char*>(words + i + line + kFarWords), _MM_HINT_T1);
      _mm_prefetch(reinterpret_cast<const char*>(words + i + line + kNearWords), _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (int lane = 0; lane < 4; ++lane) lanes[lane] = _mm256_or_si256(lanes[lane], load(words + i + 4 * lane));
  }
  const __m256i all = _mm256_or_si256(_mm256_or_si256(lanes[0], lanes[1]), _mm256_or_si256(lanes[2], lanes[3]));
  alignas(32) std::uint64_t parts[4];
  store(parts, all);
  return parts[0] | parts[1] | parts[2] | parts[3];
}

}  // namespace lowbit::kernels
