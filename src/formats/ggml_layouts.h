#pragma once

#include <cstdint>

namespace lowbit {

// The blocks of GGUF as they lie in a file: little-endian, without padding. All members are bytes or 16-bit halves
// held as two bytes, so that a block may be viewed at any address.
struct HalfBytes {
  std::uint8_t low;
  std::uint8_t high;
};

struct BlockQ4_0 {
  HalfBytes d;
  std::uint8_t qs[16];  // element j in the low, j + 16 in the high nibble of byte j; so in all blocks of 32
};
struct BlockQ4_1 {
  HalfBytes d;
  HalfBytes m;
  std::uint8_t qs[16];
};
struct BlockQ5_0 {
  HalfBytes d;
  std::uint8_t qh[4];  // bit j of the 32 is the fifth bit of element j
  std::uint8_t qs[16];
};
struct BlockQ5_1 {
  HalfBytes d;
  HalfBytes m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ8_0 {
  HalfBytes d;
  std::int8_t qs[32];
};
struct BlockMXFP4 {
  std::uint8_t e;  // exponent, biased by 127
  std::uint8_t qs[16];
};
struct BlockQ2_K {
  std::uint8_t scales[16];  // low nibble scale, high nibble minimum
  std::uint8_t qs[64];
  HalfBytes d;
  HalfBytes dmin;
};
struct BlockQ3_K {
  std::uint8_t hmask[32];
  std::uint8_t qs[64];
  std::uint8_t scales[12];  // sixteen of six bits
  HalfBytes d;
};
struct BlockQ4_K {
  HalfBytes d;
  HalfBytes dmin;
  std::uint8_t scales[12];  // eight scales and eight minimums of six bits
  std::uint8_t qs[128];
};
struct BlockQ5_K {
  HalfBytes d;
  HalfBytes dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
struct BlockQ6_K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  HalfBytes d;
};
struct BlockQ8_K {
  std::uint8_t d[4];  // float32
  std::int8_t qs[256];
  std::uint8_t sums[32];
};
struct BlockTQ1_0 {
  std::uint8_t qs[48];
  std::uint8_t qh[4];
  HalfBytes d;
};
struct BlockTQ2_0 {
  std::uint8_t qs[64];
  HalfBytes d;
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockMXFP4) == 17 && sizeof(BlockQ2_K) == 84);
static_assert(sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210 && sizeof(BlockQ8_K) == 292 && sizeof(BlockTQ1_0) == 54);
static_assert(sizeof(BlockTQ2_0) == 66 && alignof(BlockQ8_0) == 1 && alignof(BlockQ8_K) == 1);

}  // namespace lowbit
