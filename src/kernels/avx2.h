#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernel.h"

// Parts that the AVX2 kernels share; a half is eight of a block's sixteen rows. For avx2_*.cpp alone.
namespace lowbit::kernels {
namespace {

[[gnu::always_inline]] inline __m256i load(const void* at) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}

[[gnu::always_inline]] inline void store(void* at, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}

// The codes of a quad: four bytes for each of eight rows. Shifts of 16-bit words are as good as those of bytes, since
// the mask drops what came from the neighbour.
template <int kBits>
[[gnu::always_inline]] inline __m256i load_quad(const std::uint8_t* step, int quad, int half) {
  if constexpr (kBits == 8) return load(step + 64 * quad + 32 * half);
  if constexpr (kBits == 4) {
    const __m256i chunk = load(step + 64 * (quad / 2) + 32 * half);
    return _mm256_and_si256(_mm256_srli_epi16(chunk, 4 * (quad % 2)), _mm256_set1_epi8(15));
  }
  const __m256i chunk = load(step + 64 * (quad / 4) + 32 * half);
  const __m256i low = _mm256_and_si256(_mm256_srli_epi16(chunk, 2 * (quad % 4)), _mm256_set1_epi8(3));
  if constexpr (kBits == 2) return low;
  const __m256i plane = load(step + 128 + 32 * half);
  const __m256i shifted = quad >= 2 ? _mm256_srli_epi16(plane, quad - 2) : _mm256_slli_epi16(plane, 2 - quad);
  return _mm256_or_si256(low, _mm256_and_si256(shifted, _mm256_set1_epi8(4)));
}

[[gnu::always_inline]] inline const std::uint8_t* block_data(const Blocks& blocks, std::int64_t block) {
  return blocks.data + block * blocks.block_bytes;
}

// Of scales of two levels.
[[gnu::always_inline]] inline __m256i load_whole_scales(const Blocks& blocks, std::int64_t block, std::int64_t group,
                                                        int half) {
  const std::uint8_t* scales = block_data(blocks, block) + group * kBlockRows + 8 * half;
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales)));
}
[[gnu::always_inline]] inline __m256 load_row_scales(const Blocks& blocks, std::int64_t block, int half) {
  const std::uint8_t* scales = block_data(blocks, block) + blocks.row_scale_offset;
  return _mm256_loadu_ps(reinterpret_cast<const float*>(scales) + 8 * half);
}

[[gnu::always_inline]] inline __m256 load_scales(const Blocks& blocks, std::int64_t block, std::int64_t group,
                                                 int half) {
  const std::uint8_t* scales = block_data(blocks, block);
  const std::int64_t index = group * kBlockRows + 8 * half;
  if (blocks.row_scale_offset != 0) {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(load_whole_scales(blocks, block, group, half)),
                         load_row_scales(blocks, block, half));
  }
  if (blocks.scale_kind == ScaleKind::kFloat32) return _mm256_loadu_ps(reinterpret_cast<const float*>(scales) + index);
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(scales + 2 * index));
  if (blocks.scale_kind == ScaleKind::kFloat16) return _mm256_cvtph_ps(halves);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

// Whole zero points.
[[gnu::always_inline]] inline __m256i load_zeros(const Blocks& blocks, std::int64_t block, std::int64_t group,
                                                 int half) {
  if (blocks.zero_kind == ZeroKind::kUniform) return _mm256_set1_epi32(blocks.uniform_zero);
  const std::uint8_t* zeros = block_data(blocks, block) + blocks.zero_offset + group * kBlockRows + 8 * half;
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(zeros)));
}

[[gnu::always_inline]] inline __m256 load_real_zeros(const Blocks& blocks, std::int64_t block, std::int64_t group,
                                                     int half) {
  if (blocks.zero_kind != ZeroKind::kFloat32) return _mm256_cvtepi32_ps(load_zeros(blocks, block, group, half));
  const std::uint8_t* zeros = block_data(blocks, block) + blocks.zero_offset;
  return _mm256_loadu_ps(reinterpret_cast<const float*>(zeros) + group * kBlockRows + 8 * half);
}

// Written as instructions, since GCC puts off the additions of an unrolled loop until its products fill the registers,
// and then memory.

// Four products of bytes, codes by activations, join two int16.
[[gnu::always_inline]] inline void add_bytes(__m256i& sums, __m256i codes, __m256i factor) {
  __m256i products;
  asm("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sums), "=&x"(products) : "x"(codes), "x"(factor));
}

// Two products of int16 join an int32.
[[gnu::always_inline]] inline void add_words(__m256i& sums, __m256i weights, __m256i factor) {
  __m256i products;
  asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sums), "=&x"(products) : "x"(weights), "x"(factor));
}

}  // namespace
}  // namespace lowbit::kernels
