#pragma once

#include <immintrin.h>

#include <cstdint>

// The operations of `Wide` on AVX-512 with VNNI. For avx512_*.cpp and amx_*.cpp alone.
namespace lowbit::kernels {
namespace {

struct Avx512 {
  using Integers = __m512i;
  using Floats = __m512;

  static Integers load(const void* at) { return _mm512_loadu_si512(at); }
  static void store(void* at, Integers value) { _mm512_storeu_si512(at, value); }
  /// Into the first-level cache, or the second. GCC 12 takes functions of nothing but the intrinsic for void.
  static void prefetch(const std::uint8_t* at) { asm volatile("prefetcht0 %0" : : "m"(*at)); }
  static void prefetch_far(const std::uint8_t* at) { asm volatile("prefetcht1 %0" : : "m"(*at)); }
  static Integers broadcast(std::int32_t value) { return _mm512_set1_epi32(value); }
  static Integers load_bytes(const std::uint8_t* at) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  // Of 16-bit words.
  static Integers shift_right(Integers a, int count) { return _mm512_srli_epi16(a, static_cast<unsigned>(count)); }
  static Integers shift_left(Integers a, int count) { return _mm512_slli_epi16(a, static_cast<unsigned>(count)); }
  static Integers shift_left_wide(Integers a, int count) { return _mm512_slli_epi32(a, static_cast<unsigned>(count)); }
  /// Of 32-bit words, with their sign.
  static Integers shift_right_wide(Integers a, int count) { return _mm512_srai_epi32(a, static_cast<unsigned>(count)); }
  static Integers bits_of_bytes(Integers a, int mask) {
    return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(mask)));
  }
  static Integers byte_of_words(Integers a, int byte) {
    return _mm512_and_si512(_mm512_srli_epi32(a, static_cast<unsigned>(8 * byte)), _mm512_set1_epi32(255));
  }
  static Integers either(Integers a, Integers b) { return _mm512_or_si512(a, b); }
  static Integers add(Integers a, Integers b) { return _mm512_add_epi32(a, b); }
  static Integers subtract(Integers a, Integers b) { return _mm512_sub_epi32(a, b); }
  static Integers multiply(Integers a, Integers b) { return _mm512_mullo_epi32(a, b); }
  /// Of 16-bit words, their lower halves.
  static Integers multiply_low_words(Integers a, Integers b) { return _mm512_mullo_epi16(a, b); }
  static Integers add_bytes(Integers a, Integers b) { return _mm512_add_epi8(a, b); }
  /// Of the lower 16 bits, with their sign, where the upper ones of `a` are zero.
  static Integers multiply_words(Integers a, Integers b) { return _mm512_madd_epi16(a, b); }
  /// sum + four products of u8 by s8, in each word. GCC 12 copies sums of the intrinsic's in every turn of a loop.
  [[gnu::always_inline]] static Integers dot(Integers sum, Integers codes, Integers factors) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(factors));
    return sum;
  }

  static Floats load_floats(const void* at) { return _mm512_loadu_ps(at); }
  static void store_floats(float* at, Floats value) { _mm512_storeu_ps(at, value); }
  static Floats load_halves(const void* at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(at)));
  }
  static Floats load_bfloats(const void* at) {
    const __m256i words = _mm256_loadu_si256(static_cast<const __m256i*>(at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
  }
  static Floats broadcast_float(float value) { return _mm512_set1_ps(value); }
  static Floats to_floats(Integers a) { return _mm512_cvtepi32_ps(a); }
  static Floats add_floats(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  /// Words of two bfloat16, which must hold the numbers exactly.
  static Integers pair_bfloats(Floats low, Floats high) {
    const __m512i upper = _mm512_and_si512(_mm512_castps_si512(high), _mm512_set1_epi32(static_cast<int>(0xFFFF0000U)));
    return _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(low), 16), upper);
  }
  static Floats subtract_floats(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static Floats multiply_floats(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats look_up(const float* table, int bits, Integers code) {
    if (bits > 4) return _mm512_i32gather_ps(code, table, 4);
    const __mmask16 there = static_cast<__mmask16>((1U << (1U << bits)) - 1U);
    return _mm512_permutexvar_ps(code, _mm512_maskz_loadu_ps(there, table));
  }
};

}  // namespace
}  // namespace lowbit::kernels
