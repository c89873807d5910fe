#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "formats/ggml_layouts.h"
#include "lowbit/base/error.h"
#include "lowbit/formats/ggml_blocks.h"
#include "lowbit/base/half.h"

namespace lowbit {
namespace {

constexpr int kSize = 32;  // elements of a block
constexpr int kHalf = kSize / 2;

HalfBytes stored(float value) {
  const std::uint16_t half = float_to_half(value);
  if ((half & 0x7FFFU) >= 0x7C00U) fail(ErrorCode::kData, "{} is too large for a block's float16 scale", value);
  return {static_cast<std::uint8_t>(half), static_cast<std::uint8_t>(half >> 8)};
}

// Codes are chosen with the float32 scale although a float16 one is stored, as in the reference. Where the scale is so
// small that its inverse overflows, it is stored as 0, and any codes will do.
float inverse(float d) {
  const float id = d != 0.0F ? 1.0F / d : 0.0F;
  return std::isfinite(id) ? id : 0.0F;
}

void check_finite(const float* x) {
  for (int j = 0; j < kSize; ++j) {
    if (!std::isfinite(x[j])) fail(ErrorCode::kData, "value {} is {}, expected a finite number", j, x[j]);
  }
}

// The value of the largest magnitude, with its sign; the first of equals.
float signed_extreme(const float* x) {
  float extreme = 0.0F;
  for (int j = 0; j < kSize; ++j) {
    if (std::fabs(x[j]) > std::fabs(extreme)) extreme = x[j];
  }
  return extreme;
}

// Truncation of a positive number, limited to the largest code.
int code(float value, int largest) { return std::min(largest, static_cast<int>(value)); }

void pack_nibbles(const int (&codes)[kSize], std::uint8_t* qs) {
  for (int j = 0; j < kHalf; ++j) qs[j] = static_cast<std::uint8_t>((codes[j] & 15) | ((codes[j + kHalf] & 15) << 4));
}

void pack_fifth_bits(const int (&codes)[kSize], std::uint8_t* qh) {
  std::uint32_t bits = 0;
  for (int j = 0; j < kSize; ++j) bits |= static_cast<std::uint32_t>(codes[j] >> 4) << j;
  std::memcpy(qh, &bits, sizeof bits);
}

// Q4_0 and Q5_0: the extreme gets code 0, that is -8 or -16.
float symmetric_codes(const float* x, int half_range, int (&codes)[kSize]) {
  const float d = signed_extreme(x) / static_cast<float>(-half_range);
  const float id = inverse(d);
  for (int j = 0; j < kSize; ++j) {
    codes[j] = code(x[j] * id + (static_cast<float>(half_range) + 0.5F), 2 * half_range - 1);
  }
  return d;
}

// Q4_1 and Q5_1: from the minimum to the maximum.
struct Range {
  float d;
  float minimum;
};
Range ranged_codes(const float* x, int largest, int (&codes)[kSize]) {
  const auto [low, high] = std::minmax_element(x, x + kSize);
  const Range range{(*high - *low) / static_cast<float>(largest), *low};
  if (!std::isfinite(range.d)) fail(ErrorCode::kData, "a range from {} to {} is too large for a block", *low, *high);
  const float id = inverse(range.d);
  for (int j = 0; j < kSize; ++j) codes[j] = code((x[j] - range.minimum) * id + 0.5F, largest);
  return range;
}

void encode(const float* x, BlockQ4_0& block) {
  check_finite(x);
  int codes[kSize];
  block.d = stored(symmetric_codes(x, 8, codes));
  pack_nibbles(codes, block.qs);
}

void encode(const float* x, BlockQ4_1& block) {
  check_finite(x);
  int codes[kSize];
  const Range range = ranged_codes(x, 15, codes);
  block.d = stored(range.d);
  block.m = stored(range.minimum);
  pack_nibbles(codes, block.qs);
}

void encode(const float* x, BlockQ5_0& block) {
  check_finite(x);
  int codes[kSize];
  block.d = stored(symmetric_codes(x, 16, codes));
  pack_nibbles(codes, block.qs);
  pack_fifth_bits(codes, block.qh);
}

void encode(const float* x, BlockQ5_1& block) {
  check_finite(x);
  int codes[kSize];
  const Range range = ranged_codes(x, 31, codes);
  block.d = stored(range.d);
  block.m = stored(range.minimum);
  pack_nibbles(codes, block.qs);
  pack_fifth_bits(codes, block.qh);
}

void encode(const float* x, BlockQ8_0& block) {
  check_finite(x);
  const float d = std::fabs(signed_extreme(x)) / 127.0F;
  const float id = inverse(d);
  block.d = stored(d);
  for (int j = 0; j < kSize; ++j) block.qs[j] = static_cast<std::int8_t>(std::round(x[j] * id));
}

template <typename Block>
void encode_all(std::span<const float> values, std::span<std::byte> out, StorageType type) {
  if (values.size() % kSize != 0 || out.size() != values.size() / kSize * sizeof(Block)) {
    fail(ErrorCode::kData,
         "{} values cannot be written as {} in {} bytes, expected whole blocks of {} values in {} bytes", values.size(),
         storage_type_name(type), out.size(), kSize, sizeof(Block));
  }
  auto* blocks = reinterpret_cast<Block*>(out.data());
  std::size_t i = 0;
  try {
    for (; i < values.size() / kSize; ++i) encode(values.data() + i * kSize, blocks[i]);
  } catch (const Error& error) {
    fail(error.code(), "block {} of {}: {}", i, storage_type_name(type), error.what());
  }
}

}  // namespace

void quantize_blocks(StorageType type, std::span<const float> values, std::span<std::byte> out) {
  switch (type) {
    case StorageType::kQ4_0: return encode_all<BlockQ4_0>(values, out, type);
    case StorageType::kQ4_1: return encode_all<BlockQ4_1>(values, out, type);
    case StorageType::kQ5_0: return encode_all<BlockQ5_0>(values, out, type);
    case StorageType::kQ5_1: return encode_all<BlockQ5_1>(values, out, type);
    case StorageType::kQ8_0: return encode_all<BlockQ8_0>(values, out, type);
    default: fail(ErrorCode::kUnsupported, "there is no encoder for type {}", storage_type_name(type));
  }
}

}  // namespace lowbit
