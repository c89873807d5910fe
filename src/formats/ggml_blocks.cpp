#include "lowbit/formats/ggml_blocks.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/every_isa.h"
#include "formats/ggml_decode.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

static_assert(std::endian::native == std::endian::little);

// Decoders of the common blocks take them by value and fill a local array: only then does the compiler see that the
// bytes it reads are none of the floats it writes, and vectorizes.
using Values = float[32];

[[gnu::always_inline]] inline void decode(BlockQ4_0 block, Values& y) {
  const float d = to_float(block.d);
  for (int j = 0; j < 16; ++j) y[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
  for (int j = 0; j < 16; ++j) y[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
}

[[gnu::always_inline]] inline void decode(BlockQ4_1 block, Values& y) {
  const float d = to_float(block.d);
  const float m = to_float(block.m);
  for (int j = 0; j < 16; ++j) y[j] = static_cast<float>(block.qs[j] & 15) * d + m;
  for (int j = 0; j < 16; ++j) y[j + 16] = static_cast<float>(block.qs[j] >> 4) * d + m;
}

// The codes of five bits.
[[gnu::always_inline]] inline void unpack(const std::uint8_t (&qs)[16], const std::uint8_t (&qh)[4], int (&codes)[32]) {
  std::uint32_t high = 0;
  std::memcpy(&high, qh, sizeof high);
  for (int j = 0; j < 16; ++j) codes[j] = (qs[j] & 15) | static_cast<int>(((high >> j) & 1U) << 4);
  for (int j = 0; j < 16; ++j) codes[j + 16] = (qs[j] >> 4) | static_cast<int>(((high >> (j + 16)) & 1U) << 4);
}

[[gnu::always_inline]] inline void decode(BlockQ5_0 block, Values& y) {
  const float d = to_float(block.d);
  int codes[32];
  unpack(block.qs, block.qh, codes);
  for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(codes[j] - 16) * d;
}

[[gnu::always_inline]] inline void decode(BlockQ5_1 block, Values& y) {
  const float d = to_float(block.d);
  const float m = to_float(block.m);
  int codes[32];
  unpack(block.qs, block.qh, codes);
  for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(codes[j]) * d + m;
}

[[gnu::always_inline]] inline void decode(BlockQ8_0 block, Values& y) {
  const float d = to_float(block.d);
  for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(block.qs[j]) * d;
}

[[gnu::always_inline]] inline void decode(BlockMXFP4 block, Values& y) {
  // Doubled E2M1 values, and a scale of half of 2^(e - 127); 2^-128 and 2^-127 are subnormal.
  constexpr float kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const std::uint32_t bits = block.e < 2 ? 0x00200000U << block.e : (block.e - 1U) << 23;
  const auto scale = std::bit_cast<float>(bits);
  for (int j = 0; j < 16; ++j) {
    y[j] = kDoubled[block.qs[j] & 15] * scale;
    y[j + 16] = kDoubled[block.qs[j] >> 4] * scale;
  }
}

// All versions execute the same IEEE operations; only their width differs.
template <typename Block>
LOWBIT_EVERY_ISA void decode_small(const std::byte* data, std::span<float> out) {
  const auto* blocks = reinterpret_cast<const Block*>(data);
  for (std::size_t i = 0; i < out.size() / 32; ++i) {
    Values values;
    decode(blocks[i], values);
    std::memcpy(out.data() + 32 * i, values, sizeof values);
  }
}

template <typename Block>
void decode_large(const std::byte* data, std::span<float> out) {
  const auto* blocks = reinterpret_cast<const Block*>(data);
  for (std::size_t i = 0; i < out.size() / 256; ++i) decode_block(blocks[i], out.data() + 256 * i);
}

#if defined(__x86_64__)
// As many halves as fill vectors, by the processor's own conversion; returns how many.
[[gnu::target("avx2,f16c")]] std::size_t widen_halves(const std::byte* data, std::size_t count, float* values) {
  constexpr std::size_t kLanes = 8;
  const std::size_t whole = count / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + 2 * i));
    _mm256_storeu_ps(values + i, _mm256_cvtph_ps(halves));
  }
  return whole;
}
bool widens_halves() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
#else
std::size_t widen_halves(const std::byte*, std::size_t, float*) { return 0; }
bool widens_halves() { return false; }
#endif

LOWBIT_EVERY_ISA
void widen_halves_plainly(const std::byte* data, std::size_t count, float* __restrict y) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, data + 2 * i, sizeof half);
    y[i] = half_to_float(half);
  }
}

void decode_f16(const std::byte* data, std::span<float> out) {
  const std::size_t done = widens_halves() ? widen_halves(data, out.size(), out.data()) : 0;
  widen_halves_plainly(data + 2 * done, out.size() - done, out.data() + done);
}

LOWBIT_EVERY_ISA
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
    case StorageType::kQ4_0: return run([&](const std::byte* from) { decode_small<BlockQ4_0>(from, out); });
    case StorageType::kQ4_1: return run([&](const std::byte* from) { decode_small<BlockQ4_1>(from, out); });
    case StorageType::kQ5_0: return run([&](const std::byte* from) { decode_small<BlockQ5_0>(from, out); });
    case StorageType::kQ5_1: return run([&](const std::byte* from) { decode_small<BlockQ5_1>(from, out); });
    case StorageType::kQ8_0: return run([&](const std::byte* from) { decode_small<BlockQ8_0>(from, out); });
    case StorageType::kMXFP4: return run([&](const std::byte* from) { decode_small<BlockMXFP4>(from, out); });
    case StorageType::kQ2_K: return run([&](const std::byte* from) { decode_large<BlockQ2_K>(from, out); });
    case StorageType::kQ3_K: return run([&](const std::byte* from) { decode_large<BlockQ3_K>(from, out); });
    case StorageType::kQ4_K: return run([&](const std::byte* from) { decode_large<BlockQ4_K>(from, out); });
    case StorageType::kQ5_K: return run([&](const std::byte* from) { decode_large<BlockQ5_K>(from, out); });
    case StorageType::kQ6_K: return run([&](const std::byte* from) { decode_large<BlockQ6_K>(from, out); });
    case StorageType::kQ8_K: return run([&](const std::byte* from) { decode_large<BlockQ8_K>(from, out); });
    case StorageType::kTQ1_0: return run([&](const std::byte* from) { decode_large<BlockTQ1_0>(from, out); });
    case StorageType::kTQ2_0: return run([&](const std::byte* from) { decode_large<BlockTQ2_0>(from, out); });
    default: fail(ErrorCode::kUnsupported, "tensors of type {} cannot be decoded", storage_type_name(type));
  }
}

}  // namespace lowbit
