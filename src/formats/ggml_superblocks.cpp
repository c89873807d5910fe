#include <cstring>

#include "formats/ggml_decode.h"

namespace lowbit {
namespace {

constexpr int kSub = 16;  // elements of a sub-block of Q2_K, Q3_K and Q6_K

// Scale and minimum number s (0..7) of Q4_K and Q5_K: six bits each, those from 4 on split over two bytes.
struct ScaleAndMinimum {
  int scale;
  int minimum;
};
ScaleAndMinimum unpack_pair(const std::uint8_t* scales, int s) {
  if (s < 4) return {scales[s] & 63, scales[s + 4] & 63};
  return {(scales[s + 4] & 15) | ((scales[s - 4] >> 6) << 4), (scales[s + 4] >> 4) | ((scales[s] >> 6) << 4)};
}

// Scale number s (0..15) of Q3_K, without its offset.
int unpack_q3_scale(const std::uint8_t* scales, int s) {
  const int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
  return low | (((scales[8 + s % 4] >> (2 * (s / 4))) & 3) << 4);
}

}  // namespace

// Q2_K and Q3_K: a half of 128 elements is 32 bytes; the bit pair k of all 32 gives elements 32 k to 32 k + 31.
void decode_block(const BlockQ2_K& block, float* y) {
  const float d = to_float(block.d);
  const float dmin = to_float(block.dmin);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(block.scales[s] & 15);
    const float minimum = dmin * static_cast<float>(block.scales[s] >> 4);
    const std::uint8_t* bytes = block.qs + 32 * (s / 8) + kSub * (s % 2);
    const int shift = 2 * (s % 8 / 2);
    for (int l = 0; l < kSub; ++l) y[kSub * s + l] = scale * static_cast<float>((bytes[l] >> shift) & 3) - minimum;
  }
}

void decode_block(const BlockQ3_K& block, float* y) {
  const float d = to_float(block.d);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(unpack_q3_scale(block.scales, s) - 32);
    const std::uint8_t* bytes = block.qs + 32 * (s / 8) + kSub * (s % 2);
    const std::uint8_t* mask = block.hmask + kSub * (s % 2);
    const int shift = 2 * (s % 8 / 2);
    const int bit = s / 2;  // 4 for each half and 1 for each shift
    for (int l = 0; l < kSub; ++l) {
      const int value = ((bytes[l] >> shift) & 3) - (((mask[l] >> bit) & 1) != 0 ? 0 : 4);
      y[kSub * s + l] = scale * static_cast<float>(value);
    }
  }
}

void decode_block(const BlockQ4_K& block, float* y) {
  const float d = to_float(block.d);
  const float dmin = to_float(block.dmin);
  for (int s = 0; s < 8; ++s) {
    const ScaleAndMinimum pair = unpack_pair(block.scales, s);
    const float scale = d * static_cast<float>(pair.scale);
    const float minimum = dmin * static_cast<float>(pair.minimum);
    const std::uint8_t* bytes = block.qs + 32 * (s / 2);
    const int shift = 4 * (s % 2);
    for (int l = 0; l < 32; ++l) y[32 * s + l] = scale * static_cast<float>((bytes[l] >> shift) & 15) - minimum;
  }
}

void decode_block(const BlockQ5_K& block, float* y) {
  const float d = to_float(block.d);
  const float dmin = to_float(block.dmin);
  for (int s = 0; s < 8; ++s) {
    const ScaleAndMinimum pair = unpack_pair(block.scales, s);
    const float scale = d * static_cast<float>(pair.scale);
    const float minimum = dmin * static_cast<float>(pair.minimum);
    const std::uint8_t* bytes = block.qs + 32 * (s / 2);
    const int shift = 4 * (s % 2);
    for (int l = 0; l < 32; ++l) {
      const int q = ((bytes[l] >> shift) & 15) | (((block.qh[l] >> s) & 1) << 4);
      y[32 * s + l] = scale * static_cast<float>(q) - minimum;
    }
  }
}

// A half of 128 elements is 64 bytes of low nibbles and 32 bytes of high bit pairs: quarter k takes its nibbles from
// bytes 32 (k % 2) on, the low ones for k < 2, and the bit pair k.
void decode_block(const BlockQ6_K& block, float* y) {
  const float d = to_float(block.d);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(block.scales[s]);
    const int half = s / 8;
    const int quarter = s % 8 / 2;
    const std::uint8_t* low = block.ql + 64 * half + 32 * (quarter % 2) + kSub * (s % 2);
    const std::uint8_t* high = block.qh + 32 * half + kSub * (s % 2);
    for (int l = 0; l < kSub; ++l) {
      const int q = ((low[l] >> (4 * (quarter / 2))) & 15) | (((high[l] >> (2 * quarter)) & 3) << 4);
      y[kSub * s + l] = scale * static_cast<float>(q - 32);
    }
  }
}

void decode_block(const BlockQ8_K& block, float* y) {
  float d = 0.0F;
  std::memcpy(&d, block.d, sizeof d);
  for (int i = 0; i < 256; ++i) y[i] = d * static_cast<float>(block.qs[i]);
}

namespace {

// Trit n of a byte that holds 0.b1 b2 b3 b4 b5 in base 3, scaled to 256.
float trit(std::uint8_t byte, int n) {
  constexpr int kPowers[5] = {1, 3, 9, 27, 81};
  const int rest = (byte * kPowers[n]) & 0xFF;
  return static_cast<float>(((rest * 3) >> 8) - 1);
}

}  // namespace

void decode_block(const BlockTQ1_0& block, float* y) {
  const float d = to_float(block.d);
  for (int n = 0; n < 5; ++n) {
    for (int l = 0; l < 32; ++l) *y++ = trit(block.qs[l], n) * d;
  }
  for (int n = 0; n < 5; ++n) {
    for (int l = 32; l < 48; ++l) *y++ = trit(block.qs[l], n) * d;
  }
  for (int n = 0; n < 4; ++n) {
    for (int l = 0; l < 4; ++l) *y++ = trit(block.qh[l], n) * d;
  }
}

void decode_block(const BlockTQ2_0& block, float* y) {
  const float d = to_float(block.d);
  for (int chunk = 0; chunk < 8; ++chunk) {
    const std::uint8_t* bytes = block.qs + 32 * (chunk / 4);
    const int shift = 2 * (chunk % 4);
    for (int l = 0; l < 32; ++l) y[32 * chunk + l] = static_cast<float>(((bytes[l] >> shift) & 3) - 1) * d;
  }
}

}  // namespace lowbit
