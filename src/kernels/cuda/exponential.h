#pragma once

#include "kernels/cuda/arithmetic.h"

// Functions of float32 that only some kernels need.
namespace lowbit::kernels::cuda {

LOWBIT_HOST_DEVICE inline float exponential(float x) {
#ifdef __CUDA_ARCH__
  return expf(x);
#else
  return std::exp(x);
#endif
}

/// The root as IEEE 754 rounds it.
LOWBIT_HOST_DEVICE inline float square_root(float x) {
#ifdef __CUDA_ARCH__
  return __fsqrt_rn(x);
#else
  return std::sqrt(x);
#endif
}

/// Negative infinity: the largest of no scores.
LOWBIT_HOST_DEVICE inline float below_all() { return float_from_bits(0xFF800000U); }

}  // namespace lowbit::kernels::cuda
