#include "lowbit/formats/ggml_blocks.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "formats/ggml_decode.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

static_assert(std::endian::native == std::endian::little);

// The common blocks: small enough for the compiler to unroll and vectorize.
inline void decode(const BlockQ4_0& block, float* __restrict y) {
  const float d = to_float(block.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
    y[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
  }
}

inline void decode(const BlockQ4_1& block, float* __restrict y) {
  const float d = to_float(block.d);
  const float m = to_float(block.m);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(block.qs[j] & 15) * d + m;
    y[j + 16] = static_cast<float>(block.qs[j] >> 4) * d + m;
  }
}

inline std::uint32_t high_bits(const std::uint8_t (&bytes)[4]) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits;
}

inline void decode(const BlockQ5_0& block, float* __restrict y) {
  const float d = to_float(block.d);
  const std::uint32_t high = high_bits(block.qh);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(static_cast<int>((block.qs[j] & 15U) | (((high >> j) & 1U) << 4)) - 16) * d;
    y[j + 16] = static_cast<float>(static_cast<int>((block.qs[j] >> 4U) | (((high >> (j + 16)) & 1U) << 4)) - 16) * d;
  }
}

inline void decode(const BlockQ5_1& block, float* __restrict y) {
  const float d = to_float(block.d);
  const float m = to_float(block.m);
  const std::uint32_t high = high_bits(block.qh);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(static_cast<int>((block.qs[j] & 15U) | (((high >> j) & 1U) << 4))) * d + m;
    y[j + 16] = static_cast<float>(static_cast<int>((block.qs[j] >> 4U) | (((high >> (j + 16)) & 1U) << 4))) * d + m;
  }
}

inline void decode(const BlockQ8_0& block, float* __restrict y) {
  const float d = to_float(block.d);
  for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(block.qs[j]) * d;
}

inline void decode(const BlockMXFP4& block, float* __restrict y) {
  // Doubled E2M1 values, and a scale of half of 2^(e - 127); 2^-128 and 2^-127 are subnormal.
  constexpr float kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const std::uint32_t bits = block.e < 2 ? 0x00200000U << block.e : (block.e - 1U) << 23;
  const auto scale = std::bit_cast<float>(bits);
  for (int j = 0; j < 16; ++j) {
    y[j] = kDoubled[block.qs[j] & 15] * scale;
    y[j + 16] = kDoubled[block.qs[j] >> 4] * scale;
  }
}

template <typename Block>
void decode(const Block& block, float* y) {
  decode_block(block, y);
}

template <typename Block>
void decode_all(const std::byte* data, std::span<float> out, std::size_t elements) {
  const auto* blocks = reinterpret_cast<const Block*>(data);
  const std::size_t count = out.size() / elements;
  for (std::size_t i = 0; i < count; ++i) decode(blocks[i], out.data() + i * elements);
}

void decode_f16(const std::byte* data, std::span<float> out) {
  const auto* halves = reinterpret_cast<const HalfBytes*>(data);
  float* __restrict y = out.data();
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, halves + i, sizeof half);
    y[i] = half_to_float(half);
  }
}

void decode_bf16(const std::byte* data, std::span<float> out) {
  float* __restrict y = out.data();
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t value = 0;
    std::memcpy(&value, data + 2 * i, sizeof value);
    y[i] = bfloat16_to_float(value);
  }
}

void check_sizes(StorageType type, std::size_t values, std::size_t bytes) {
  const BlockSize block = block_size(type);
  const auto elements = static_cast<std::size_t>(block.elements);
  if (values % elements != 0) {
    fail(ErrorCode::kData, "{} values are no whole number of {} blocks of {}", values, storage_type_name(type),
         elements);
  }
  const std::size_t expected = values / elements * static_cast<std::size_t>(block.bytes);
  if (bytes != expected) {
    fail(ErrorCode::kData, "{} values of {} take {} bytes, but {} are given", values, storage_type_name(type), expected,
         bytes);
  }
}

}  // namespace

void dequantize_blocks(StorageType type, std::span<const std::byte> data, std::span<float> out) {
  const auto run = [&](auto decoder) {
    check_sizes(type, out.size(), data.size());
    if (!out.empty()) decoder(data.data());
  };
  switch (type) {
    case StorageType::kF32: return run([&](const std::byte* from) { std::memcpy(out.data(), from, out.size_bytes()); });
    case StorageType::kF16: return run([&](const std::byte* from) { decode_f16(from, out); });
    case StorageType::kBF16: return run([&](const std::byte* from) { decode_bf16(from, out); });
    case StorageType::kQ4_0: return run([&](const std::byte* from) { decode_all<BlockQ4_0>(from, out, 32); });
    case StorageType::kQ4_1: return run([&](const std::byte* from) { decode_all<BlockQ4_1>(from, out, 32); });
    case StorageType::kQ5_0: return run([&](const std::byte* from) { decode_all<BlockQ5_0>(from, out, 32); });
    case StorageType::kQ5_1: return run([&](const std::byte* from) { decode_all<BlockQ5_1>(from, out, 32); });
    case StorageType::kQ8_0: return run([&](const std::byte* from) { decode_all<BlockQ8_0>(from, out, 32); });
    case StorageType::kMXFP4: return run([&](const std::byte* from) { decode_all<BlockMXFP4>(from, out, 32); });
    case StorageType::kQ2_K: return run([&](const std::byte* from) { decode_all<BlockQ2_K>(from, out, 256); });
    case StorageType::kQ3_K: return run([&](const std::byte* from) { decode_all<BlockQ3_K>(from, out, 256); });
    case StorageType::kQ4_K: return run([&](const std::byte* from) { decode_all<BlockQ4_K>(from, out, 256); });
    case StorageType::kQ5_K: return run([&](const std::byte* from) { decode_all<BlockQ5_K>(from, out, 256); });
    case StorageType::kQ6_K: return run([&](const std::byte* from) { decode_all<BlockQ6_K>(from, out, 256); });
    case StorageType::kQ8_K: return run([&](const std::byte* from) { decode_all<BlockQ8_K>(from, out, 256); });
    case StorageType::kTQ1_0: return run([&](const std::byte* from) { decode_all<BlockTQ1_0>(from, out, 256); });
    case StorageType::kTQ2_0: return run([&](const std::byte* from) { decode_all<BlockTQ2_0>(from, out, 256); });
    default: fail(ErrorCode::kUnsupported, "tensors of type {} cannot be decoded", storage_type_name(type));
  }
}

}  // namespace lowbit
