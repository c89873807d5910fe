#include "kernels/pack_codes.h"

#include <cstring>

#include "base/every_isa.h"
#include "kernels/tiles.h"

namespace lowbit::kernels {

namespace {

// A quad of columns of eight rows.
using Quads = std::uint32_t __attribute__((vector_size(32)));
constexpr int kHalf = kBlockRows / 2;

// Eight rows' quads become eight quads' rows.
[[gnu::always_inline]] inline void transpose(Quads (&r)[8]) {
  Quads low[4];
  Quads high[4];
  for (int i = 0; i < 4; ++i) {
    low[i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    high[i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  Quads four[2][4];  // of rows 0 to 3 and 4 to 7: quad i in the lower half, i + 4 in the upper
  for (int i = 0; i < 2; ++i) {
    four[i][0] = __builtin_shufflevector(low[2 * i], low[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13);
    four[i][1] = __builtin_shufflevector(low[2 * i], low[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    four[i][2] = __builtin_shufflevector(high[2 * i], high[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13);
    four[i][3] = __builtin_shufflevector(high[2 * i], high[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = __builtin_shufflevector(four[0][i], four[1][i], 0, 1, 2, 3, 8, 9, 10, 11);
    r[i + 4] = __builtin_shufflevector(four[0][i], four[1][i], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// A plane of bits kShift .. kShift + kBits - 1 of half a block's codes in a step.
template <int kBits, int kShift, bool kMasked>
[[gnu::always_inline]] inline void store_plane(const Quads (&quads)[8], std::uint8_t* plane) {
  constexpr std::uint32_t kMask = ((1U << kBits) - 1U) * 0x01010101U;
  constexpr int kShares = 8 / kBits;
  for (int chunk = 0; chunk * kShares < kStepQuads; ++chunk) {
    Quads word = {};
    for (int i = 0; i < kShares; ++i) {
      Quads part = quads[chunk * kShares + i] >> kShift;
      if (kMasked) part &= kMask;
      word |= part << (i * kBits);
    }
    std::memcpy(plane + 64 * chunk, &word, sizeof word);
  }
}

template <int kBits>
LOWBIT_EVERY_ISA void pack_steps(const std::uint8_t* const* rows, std::int64_t steps, std::uint8_t* target) {
  for (std::int64_t step = 0; step < steps; ++step) {
    for (int half = 0; half < 2; ++half) {
      Quads quads[8];
      for (int i = 0; i < kHalf; ++i) {
        std::memcpy(&quads[i], rows[half * kHalf + i] + step * kStepColumns, sizeof(Quads));
      }
      transpose(quads);
      std::uint8_t* to = target + 32 * half;
      if constexpr (kBits == 3) {
        store_plane<2, 0, true>(quads, to);
        store_plane<1, 2, true>(quads, to + kBlockRows * kStepColumns * 2 / 8);
      } else {
        store_plane<kBits, 0, false>(quads, to);
      }
    }
    target += kBlockRows * kStepColumns * kBits / 8;
  }
}

}  // namespace

void pack_codes(const std::uint8_t* const* rows, std::int64_t steps, int packed_bits, std::uint8_t* target) {
  switch (packed_bits) {
    case 2: return pack_steps<2>(rows, steps, target);
    case 3: return pack_steps<3>(rows, steps, target);
    case 4: return pack_steps<4>(rows, steps, target);
    default: return pack_steps<8>(rows, steps, target);
  }
}

}  // namespace lowbit::kernels
