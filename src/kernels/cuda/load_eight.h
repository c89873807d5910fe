#pragma once

#include "kernels/cuda/eight.h"
#include "kernels/cuda/output.h"

namespace lowbit::kernels::cuda {

LOWBIT_HOST_DEVICE inline const std::uint8_t* address_of(NumberKind kind, const void* base, std::int64_t index) {
  return static_cast<const std::uint8_t*>(base) + index * (kind == NumberKind::kFloat32 ? 4 : 2);
}

/// The numbers that `words(i)` holds, 16 bytes each: one, or two of float32.
template <typename WordsOf>
LOWBIT_HOST_DEVICE inline Eight eight_of(NumberKind kind, const WordsOf& words) {
  const Word4 first = words(0);
  if (kind == NumberKind::kBFloat16) return as_floats(first);
  Eight result;
  if (kind == NumberKind::kFloat16) {
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) result.x[i] = half_as_float((first.x[i / 2] >> (16 * (i % 2))) & 0xFFFFU);
    return result;
  }
  const Word4 last = words(1);
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) result.x[i] = float_from_bits(i < 4 ? first.x[i] : last.x[i - 4]);
  return result;
}

/// Eight numbers side by side, which begin on 16 bytes.
template <typename Thread>
LOWBIT_HOST_DEVICE inline Eight load_eight(Thread& thread, NumberKind kind, const void* base, std::int64_t index) {
  const std::uint8_t* from = address_of(kind, base, index);
  return eight_of(kind, [&](int i) { return thread.read16(from + 16 * i); });
}

/// Rounded once.
LOWBIT_HOST_DEVICE inline void store_number(NumberKind kind, void* base, std::int64_t index, float value) {
  if (kind == NumberKind::kFloat32) {
    static_cast<float*>(base)[index] = value;
  } else {
    static_cast<std::uint16_t*>(base)[index] = kind == NumberKind::kFloat16 ? as_half(value) : as_bfloat16(value);
  }
}

}  // namespace lowbit::kernels::cuda
