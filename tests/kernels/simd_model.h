#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "lowbit/base/half.h"

// What the vector and matrix instructions do, written plainly after the processor's manual (Intel 64 and IA-32 software
// developer's manual, volume 2: VPDPBUSD, TDPBSUD and their like), so that their kernels run on every machine.
namespace lowbit::kernels::testing {

// None is inlined: its users are unrolled many times over.
struct ModelSimd {
  using Integers = std::array<std::int32_t, 16>;
  using Floats = std::array<float, 16>;

  template <typename Operation>
  static Integers each(Operation&& operation) {
    Integers result;
    for (std::size_t i = 0; i < 16; ++i) result[i] = static_cast<std::int32_t>(operation(i));
    return result;
  }
  template <typename Operation>
  static Floats each_float(Operation&& operation) {
    Floats result;
    for (std::size_t i = 0; i < 16; ++i) result[i] = operation(i);
    return result;
  }
  static std::uint32_t word(const Integers& a, std::size_t i) { return static_cast<std::uint32_t>(a[i]); }

  [[gnu::noinline]] static Integers load(const void* at) {
    Integers result;
    std::memcpy(&result, at, 64);
    return result;
  }
  [[gnu::noinline]] static void store(void* at, const Integers& value) { std::memcpy(at, &value, 64); }
  static void prefetch(const void*) {}
  static void prefetch_far(const void*) {}
  [[gnu::noinline]] static Integers broadcast(std::int32_t value) {
    return each([&](std::size_t) { return value; });
  }
  [[gnu::noinline]] static Integers load_bytes(const std::uint8_t* at) {
    return each([&](std::size_t i) { return at[i]; });
  }
  [[gnu::noinline]] static Integers shift_right(const Integers& a, int count) {
    return each([&](std::size_t i) {
      const std::uint32_t low = (word(a, i) & 0xFFFFU) >> count;
      return low | ((word(a, i) >> 16) >> count << 16);
    });
  }
  [[gnu::noinline]] static Integers shift_left(const Integers& a, int count) {
    return each([&](std::size_t i) {
      const std::uint32_t low = (word(a, i) & 0xFFFFU) << count & 0xFFFFU;
      return low | (((word(a, i) >> 16) << count & 0xFFFFU) << 16);
    });
  }
  [[gnu::noinline]] static Integers shift_left_wide(const Integers& a, int count) {
    return each([&](std::size_t i) { return word(a, i) << count; });
  }
  [[gnu::noinline]] static Integers shift_right_wide(const Integers& a, int count) {
    return each([&](std::size_t i) { return a[i] >> count; });
  }
  [[gnu::noinline]] static Integers bits_of_bytes(const Integers& a, int mask) {
    return each([&](std::size_t i) { return word(a, i) & static_cast<std::uint32_t>(mask) * 0x01010101U; });
  }
  [[gnu::noinline]] static Integers byte_of_words(const Integers& a, int byte) {
    return each([&](std::size_t i) { return word(a, i) >> (8 * byte) & 0xFFU; });
  }
  [[gnu::noinline]] static Integers either(const Integers& a, const Integers& b) {
    return each([&](std::size_t i) { return word(a, i) | word(b, i); });
  }
  [[gnu::noinline]] static Integers add(const Integers& a, const Integers& b) {
    return each([&](std::size_t i) { return word(a, i) + word(b, i); });
  }
  [[gnu::noinline]] static Integers subtract(const Integers& a, const Integers& b) {
    return each([&](std::size_t i) { return word(a, i) - word(b, i); });
  }
  [[gnu::noinline]] static Integers multiply(const Integers& a, const Integers& b) {
    return each([&](std::size_t i) { return word(a, i) * word(b, i); });
  }
  [[gnu::noinline]] static Integers multiply_low_words(const Integers& a, const Integers& b) {
    return each([&](std::size_t i) {
      const std::uint32_t low = (word(a, i) & 0xFFFFU) * (word(b, i) & 0xFFFFU) & 0xFFFFU;
      return low | ((word(a, i) >> 16) * (word(b, i) >> 16) << 16);
    });
  }
  [[gnu::noinline]] static Integers add_bytes(const Integers& a, const Integers& b) {
    return each([&](std::size_t i) {
      std::uint32_t result = 0;
      for (int byte = 0; byte < 4; ++byte) {
        const std::uint32_t sum = (word(a, i) >> (8 * byte)) + (word(b, i) >> (8 * byte));
        result |= (sum & 0xFFU) << (8 * byte);
      }
      return result;
    });
  }
  // VPMADDWD: both pairs of 16-bit words, added up.
  [[gnu::noinline]] static Integers multiply_words(const Integers& a, const Integers& b) {
    const auto half = [](const Integers& x, std::size_t i, int shift) {
      return std::int32_t{static_cast<std::int16_t>(word(x, i) >> shift & 0xFFFFU)};
    };
    return each([&](std::size_t i) { return half(a, i, 0) * half(b, i, 0) + half(a, i, 16) * half(b, i, 16); });
  }
  [[gnu::noinline]] static Integers dot(const Integers& sum, const Integers& codes, const Integers& factors) {
    return each([&](std::size_t i) {
      std::uint32_t result = word(sum, i);
      for (int byte = 0; byte < 4; ++byte) {
        const auto code = static_cast<std::int32_t>(word(codes, i) >> (8 * byte) & 0xFFU);
        const auto factor = static_cast<std::int8_t>(word(factors, i) >> (8 * byte) & 0xFFU);
        result += static_cast<std::uint32_t>(code * factor);
      }
      return result;
    });
  }

  [[gnu::noinline]] static Floats load_floats(const void* at) {
    Floats result;
    std::memcpy(&result, at, 64);
    return result;
  }
  [[gnu::noinline]] static void store_floats(float* at, const Floats& value) { std::memcpy(at, &value, 64); }
  [[gnu::noinline]] static Floats load_words(const void* at, float (*convert)(std::uint16_t)) {
    std::uint16_t words[16];
    std::memcpy(words, at, sizeof words);
    return each_float([&](std::size_t i) { return convert(words[i]); });
  }
  [[gnu::noinline]] static Floats load_halves(const void* at) { return load_words(at, half_to_float); }
  [[gnu::noinline]] static Floats load_bfloats(const void* at) { return load_words(at, bfloat16_to_float); }
  [[gnu::noinline]] static Floats broadcast_float(float value) {
    return each_float([&](std::size_t) { return value; });
  }
  [[gnu::noinline]] static Floats to_floats(const Integers& a) {
    return each_float([&](std::size_t i) { return static_cast<float>(a[i]); });
  }
  [[gnu::noinline]] static Floats add_floats(const Floats& a, const Floats& b) {
    return each_float([&](std::size_t i) { return a[i] + b[i]; });
  }
  [[gnu::noinline]] static Integers pair_bfloats(const Floats& low, const Floats& high) {
    return each([&](std::size_t i) {
      return static_cast<std::uint32_t>(float_to_bfloat16(low[i])) |
             (static_cast<std::uint32_t>(float_to_bfloat16(high[i])) << 16);
    });
  }
  [[gnu::noinline]] static Floats subtract_floats(const Floats& a, const Floats& b) {
    return each_float([&](std::size_t i) { return a[i] - b[i]; });
  }
  [[gnu::noinline]] static Floats multiply_floats(const Floats& a, const Floats& b) {
    return each_float([&](std::size_t i) { return a[i] * b[i]; });
  }
  [[gnu::noinline]] static Floats fma(const Floats& a, const Floats& b, const Floats& c) {
    return each_float([&](std::size_t i) { return std::fma(a[i], b[i], c[i]); });
  }
  [[gnu::noinline]] static Floats look_up(const float* table, int, const Integers& code) {
    return each_float([&](std::size_t i) { return table[code[i]]; });
  }
};

/// Eight tiles of 16 rows of 64 bytes.
class ModelUnit {
 public:
  void clear_sums() {
    for (int tile = 0; tile < 4; ++tile) std::memset(tiles_[tile], 0, sizeof tiles_[tile]);
  }
  template <int kTile>
  void load(const void* rows, std::int64_t stride) {
    for (int row = 0; row < 16; ++row) {
      std::memcpy(tiles_[kTile][row], static_cast<const std::byte*>(rows) + row * stride, 64);
    }
  }
  template <int kSums, int kLeft, int kRight>
  void dot() {
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 16; ++column) {
        std::uint32_t sum = tiles_[kSums][row][column];
        for (int k = 0; k < 64; ++k) {
          const auto left = static_cast<std::int8_t>(tiles_[kLeft][row][k / 4] >> (k % 4 * 8) & 0xFFU);
          const auto right = static_cast<std::int32_t>(tiles_[kRight][k / 4][column] >> (k % 4 * 8) & 0xFFU);
          sum += static_cast<std::uint32_t>(left * right);
        }
        tiles_[kSums][row][column] = sum;
      }
    }
  }
  // TDPBF16PS: even and odd numbers of a row are two chains of fused multiply-adds from 0, whose sum joins the tile's.
  // Denormal numbers, of inputs and results, are 0.
  template <int kSums, int kLeft, int kRight>
  void dot_bfloats() {
    const auto flushed = [](float value) { return std::fabs(value) < 0x1p-126F ? std::copysign(0.0F, value) : value; };
    const auto half = [&](std::uint32_t word, int place) {
      return flushed(bfloat16_to_float(static_cast<std::uint16_t>(word >> (16 * place) & 0xFFFFU)));
    };
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 16; ++column) {
        float parts[2] = {};
        for (int k = 0; k < 16; ++k) {
          for (int place = 0; place < 2; ++place) {
            parts[place] = flushed(
                std::fma(half(tiles_[kLeft][row][k], place), half(tiles_[kRight][k][column], place), parts[place]));
          }
        }
        float sum = 0.0F;
        std::memcpy(&sum, &tiles_[kSums][row][column], sizeof sum);
        sum = flushed(flushed(sum) + flushed(parts[0] + parts[1]));
        std::memcpy(&tiles_[kSums][row][column], &sum, sizeof sum);
      }
    }
  }
  template <int kTile>
  void store(void* rows, std::int64_t stride) {
    for (int row = 0; row < 16; ++row) {
      std::memcpy(static_cast<std::byte*>(rows) + row * stride, tiles_[kTile][row], 64);
    }
  }

 private:
  std::uint32_t tiles_[8][16][16] = {};
};

}  // namespace lowbit::kernels::testing
