#include "quantization/kv_cache/decode_codes.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/avx2.h"
#include "lowbit/base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lowbit {
namespace {

constexpr int kLeastBits = 2;
constexpr int kMostBits = 8;
constexpr std::int64_t kLanes = 8;

// A scale and a minimum for each number, or one for all.
struct OfEach {
  const float* scales;
  const float* minima;
  [[nodiscard]] float scale(std::int64_t i) const { return scales[i]; }
  [[nodiscard]] float minimum(std::int64_t i) const { return minima[i]; }
};
struct OfAll {
  float scale_of_all;
  float minimum_of_all;
  [[nodiscard]] float scale(std::int64_t) const { return scale_of_all; }
  [[nodiscard]] float minimum(std::int64_t) const { return minimum_of_all; }
};

// The bits from a place on: at least 57, and 64 where codes are bytes, which hold eight codes either way.
std::uint64_t bits_at(const char* bytes, std::uint64_t bit) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes + bit / 8, sizeof(bits));
  return bits >> (bit % 8);
}

template <int kBits, typename Affine>
void decode_plainly(const CodeStream& codes, std::int64_t begin, std::int64_t count, const Affine& affine,
                    float* numbers) {
  const auto* bytes = reinterpret_cast<const char*>(codes.words);
  for (std::int64_t i = begin; i < count; ++i) {
    const auto bit = static_cast<std::uint64_t>(codes.first + i) * kBits;
    const std::uint64_t code = bits_at(bytes, bit) & ((1U << kBits) - 1U);
    numbers[i] = static_cast<float>(code) * affine.scale(i) + affine.minimum(i);
  }
}

#if defined(__x86_64__)

LOWBIT_AVX2 inline __m256 eight_scales(const OfEach& affine, std::int64_t i) {
  return _mm256_loadu_ps(affine.scales + i);
}
LOWBIT_AVX2 inline __m256 eight_minima(const OfEach& affine, std::int64_t i) {
  return _mm256_loadu_ps(affine.minima + i);
}
LOWBIT_AVX2 inline __m256 eight_scales(const OfAll& affine, std::int64_t) {
  return _mm256_set1_ps(affine.scale_of_all);
}
LOWBIT_AVX2 inline __m256 eight_minima(const OfAll& affine, std::int64_t) {
  return _mm256_set1_ps(affine.minimum_of_all);
}

// The eight codes in the lowest bits.
template <int kBits>
LOWBIT_AVX2 inline __m256i eight_codes(std::uint64_t bits) {
  if constexpr (kBits == 8) return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<std::int64_t>(bits)));
  const __m256i mask = _mm256_set1_epi32((1 << kBits) - 1);
  if constexpr (kBits <= 4) {
    const __m256i shifts =
        _mm256_setr_epi32(0, kBits, 2 * kBits, 3 * kBits, 4 * kBits, 5 * kBits, 6 * kBits, 7 * kBits);
    return _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(bits)), shifts), mask);
  }
  const __m256i all = _mm256_set1_epi64x(static_cast<std::int64_t>(bits));
  const __m256i low = _mm256_srlv_epi64(all, _mm256_setr_epi64x(0, kBits, 2 * kBits, 3 * kBits));
  const __m256i high = _mm256_srlv_epi64(all, _mm256_setr_epi64x(4 * kBits, 5 * kBits, 6 * kBits, 7 * kBits));
  const __m256 mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), 0x88);  // 0 1 4 5 2 3 6 7
  return _mm256_and_si256(_mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xd8), mask);
}

// Eight codes are kBits bytes, so that all eights begin at the same bit of a byte.
template <int kBits, typename Affine>
LOWBIT_AVX2 void decode_eights(const CodeStream& codes, std::int64_t count, const Affine& affine, float* numbers) {
  const auto bit = static_cast<std::uint64_t>(codes.first) * kBits;
  const char* bytes = reinterpret_cast<const char*>(codes.words) + bit / 8;
  for (std::int64_t i = 0; i < count; i += kLanes, bytes += kBits) {
    const __m256 code = _mm256_cvtepi32_ps(eight_codes<kBits>(bits_at(bytes, bit % 8)));
    _mm256_storeu_ps(numbers + i, _mm256_add_ps(_mm256_mul_ps(code, eight_scales(affine, i)), eight_minima(affine, i)));
  }
}

#else

template <int kBits, typename Affine>
void decode_eights(const CodeStream&, std::int64_t, const Affine&, float*) {}

#endif

template <int kBits, typename Affine>
void decode(const CodeStream& codes, std::int64_t count, const Affine& affine, float* numbers) {
  static const bool fast = has_avx2();
  const std::int64_t eights = fast ? count / kLanes * kLanes : 0;
  if (eights > 0) decode_eights<kBits>(codes, eights, affine, numbers);
  if (eights < count) decode_plainly<kBits>(codes, eights, count, affine, numbers);
}

template <int kBits>
constexpr CodeDecoder kDecoder = {
    [](const CodeStream& codes, std::int64_t count, const float* scales, const float* minima, float* numbers) {
      decode<kBits>(codes, count, OfEach{scales, minima}, numbers);
    },
    [](const CodeStream& codes, std::int64_t count, float scale, float minimum, float* numbers) {
      decode<kBits>(codes, count, OfAll{scale, minimum}, numbers);
    }};

template <int... kOffsets>
constexpr std::array<CodeDecoder, sizeof...(kOffsets)> decoders(std::integer_sequence<int, kOffsets...>) {
  return {kDecoder<kLeastBits + kOffsets>...};
}

}  // namespace

const CodeDecoder& code_decoder(int bits) {
  static constexpr auto kDecoders = decoders(std::make_integer_sequence<int, kMostBits - kLeastBits + 1>());
  LOWBIT_ASSERT(bits >= kLeastBits && bits <= kMostBits);
  return kDecoders[static_cast<std::size_t>(bits - kLeastBits)];
}

}  // namespace lowbit
