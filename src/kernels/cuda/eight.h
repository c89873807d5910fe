#pragma once

#include <cstring>

#include "kernels/cuda/arithmetic.h"

// Eight bfloat16 numbers that lie side by side: what a thread loads or stores at once.
namespace lowbit::kernels::cuda {

struct Eight {
  float x[8];
};

LOWBIT_HOST_DEVICE inline Eight as_floats(const Word4& words) {
  Eight result;
  LOWBIT_UNROLL
  for (int i = 0; i < 4; ++i) {
    result.x[2 * i] = bfloat16_as_float(words.x[i]);
    result.x[2 * i + 1] = float_from_bits(words.x[i] & 0xFFFF0000U);
  }
  return result;
}

/// Each rounded once.
LOWBIT_HOST_DEVICE inline Word4 as_bfloat16(const Eight& numbers) {
  Word4 words;
  LOWBIT_UNROLL
  for (int i = 0; i < 4; ++i) words.x[i] = pair_of_bfloat16(numbers.x[2 * i], numbers.x[2 * i + 1]);
  return words;
}

/// `to` begins on 16 bytes.
LOWBIT_HOST_DEVICE inline void store_eight(std::uint16_t* to, const Word4& words) {
#ifdef __CUDA_ARCH__
  *reinterpret_cast<Word4*>(to) = words;
#else
  std::memcpy(to, &words, sizeof words);
#endif
}
LOWBIT_HOST_DEVICE inline void store_eight(std::uint16_t* to, const Eight& numbers) {
  store_eight(to, as_bfloat16(numbers));
}

}  // namespace lowbit::kernels::cuda
