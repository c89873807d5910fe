#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/host_device.h"
#include "lowbit/base/half.h"

// The few operations of a GPU's lanes that C++ lacks, on words of two 16-bit floats or four bytes. On the GPU each is
// one or a few instructions; elsewhere it is computed as IEEE 754 defines it.
namespace lowbit::kernels::cuda {

struct Word2 {
  std::uint32_t x[2];
};
struct alignas(16) Word4 {
  std::uint32_t x[4];
};

LOWBIT_HOST_DEVICE inline float float_from_bits(std::uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}
LOWBIT_HOST_DEVICE inline std::uint32_t bits_of_float(float value) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(value);
#else
  return std::bit_cast<std::uint32_t>(value);
#endif
}

/// Byte i of the result is the byte of (low, high) that nibble i of the selector names.
LOWBIT_HOST_DEVICE inline std::uint32_t permute_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t selector) {
#ifdef __CUDA_ARCH__
  return __byte_perm(low, high, selector);
#else
  const std::uint64_t both = (std::uint64_t{high} << 32) | low;
  std::uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t from = (selector >> (4 * i)) & 7U;
    result |= static_cast<std::uint32_t>((both >> (8 * from)) & 0xFFU) << (8 * i);
  }
  return result;
#endif
}

/// (word & mask) | bits as one instruction, which takes no two constants: compilers make two of it.
template <std::uint32_t kMask, std::uint32_t kBits>
LOWBIT_HOST_DEVICE inline std::uint32_t masked_with(std::uint32_t word) {
#ifdef __CUDA_ARCH__
  std::uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(word), "n"(kMask), "r"(kBits));
  return result;
#else
  return (word & kMask) | kBits;
#endif
}

LOWBIT_HOST_DEVICE inline float half_as_float(std::uint32_t half) {
#ifdef __CUDA_ARCH__
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(static_cast<std::uint16_t>(half)));
  return result;
#else
  return half_to_float(static_cast<std::uint16_t>(half));
#endif
}
LOWBIT_HOST_DEVICE inline float bfloat16_as_float(std::uint32_t bits) { return float_from_bits(bits << 16); }

/// The nearest, ties to even.
LOWBIT_HOST_DEVICE inline std::uint16_t as_half(float value) {
#ifdef __CUDA_ARCH__
  std::uint16_t result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
  return result;
#else
  return float_to_half(value);
#endif
}
LOWBIT_HOST_DEVICE inline std::uint16_t as_bfloat16(float value) {
#ifdef __CUDA_ARCH__
  std::uint16_t result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
  return result;
#else
  return float_to_bfloat16(value);
#endif
}

/// float16 pairs: a - b in each half, rounded once.
LOWBIT_HOST_DEVICE inline std::uint32_t subtract_halves(std::uint32_t a, std::uint32_t b) {
#ifdef __CUDA_ARCH__
  std::uint32_t result;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#else
  // The difference of two float16 below 2^14 is exact in float32, so that it is rounded once.
  const std::uint32_t low = as_half(half_as_float(a & 0xFFFFU) - half_as_float(b & 0xFFFFU));
  const std::uint32_t high = as_half(half_as_float(a >> 16) - half_as_float(b >> 16));
  return low | (high << 16);
#endif
}

/// float16 pairs: a b + c in each half, rounded once. What is multiplied here is exact in float32.
LOWBIT_HOST_DEVICE inline std::uint32_t fused_halves(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
#ifdef __CUDA_ARCH__
  std::uint32_t result;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
#else
  const auto one = [&](int shift) {
    const auto at = [&](std::uint32_t pair) { return half_as_float(pair >> shift & 0xFFFFU); };
    return std::uint32_t{as_half(std::fma(at(a), at(b), at(c)))} << shift;
  };
  return one(0) | one(16);
#endif
}

/// bfloat16 pairs: a + b in each half, rounded once.
LOWBIT_HOST_DEVICE inline std::uint32_t add_bfloat16(std::uint32_t a, std::uint32_t b) {
#ifdef __CUDA_ARCH__
  std::uint32_t result;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(0x3F803F80U), "r"(b));
  return result;
#else
  const auto one = [&](int shift) {
    const float sum = bfloat16_as_float(a >> shift & 0xFFFFU) + bfloat16_as_float(b >> shift & 0xFFFFU);
    return std::uint32_t{as_bfloat16(sum)} << shift;
  };
  return one(0) | one(16);
#endif
}

/// Two floats as a pair of bfloat16, the first one low.
LOWBIT_HOST_DEVICE inline std::uint32_t pair_of_bfloat16(float low, float high) {
#ifdef __CUDA_ARCH__
  std::uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#else
  return as_bfloat16(low) | (std::uint32_t{as_bfloat16(high)} << 16);
#endif
}

/// Two floats as a pair of float16, the first one low.
LOWBIT_HOST_DEVICE inline std::uint32_t pair_of_halves(float low, float high) {
#ifdef __CUDA_ARCH__
  std::uint32_t result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#else
  return as_half(low) | (std::uint32_t{as_half(high)} << 16);
#endif
}

/// a b + c, rounded once.
LOWBIT_HOST_DEVICE inline float fused(float a, float b, float c) {
#ifdef __CUDA_ARCH__
  return __fmaf_rn(a, b, c);
#else
  return std::fma(a, b, c);
#endif
}

/// The quotient as IEEE 754 rounds it.
LOWBIT_HOST_DEVICE inline float quotient(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

/// The nearest whole number, ties to even.
LOWBIT_HOST_DEVICE inline float nearest_whole(float value) {
#ifdef __CUDA_ARCH__
  return rintf(value);
#else
  return std::nearbyint(value);
#endif
}

/// The same of |value| < 2^31.
LOWBIT_HOST_DEVICE inline std::int32_t nearest_integer(float value) {
#ifdef __CUDA_ARCH__
  return __float2int_rn(value);
#else
  return static_cast<std::int32_t>(std::nearbyint(value));
#endif
}

}  // namespace lowbit::kernels::cuda
