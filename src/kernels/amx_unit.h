#pragma once

#include <immintrin.h>

#include <cstdint>

namespace lowbit::kernels {

/// The processor's matrix unit, configured for as long as this object lives: other libraries on this thread may want
/// another configuration.
class Amx {
 public:
  Amx() {
    struct alignas(64) Configuration {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } configuration;
    for (int tile = 0; tile < 8; ++tile) {
      configuration.row_bytes[tile] = 64;
      configuration.rows[tile] = 16;
    }
    // The intrinsic of GCC 12 tells the compiler of its first 8 bytes only.
    asm volatile("" : : "r"(&configuration) : "memory");
    _tile_loadconfig(&configuration);
  }
  ~Amx() { _tile_release(); }
  Amx(const Amx&) = delete;
  Amx& operator=(const Amx&) = delete;

  // The intrinsics are macros that take digits only, no template's numbers.
  static void clear_sums() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  template <int kTile>
  static void load(const void* rows, std::int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(kTile) : "memory");
  }
  /// Sums += activations (s8) by codes (u8).
  template <int kSums, int kLeft, int kRight>
  static void dot() {
    asm volatile("tdpbsud %%tmm%c0, %%tmm%c1, %%tmm%c2" : : "i"(kRight), "i"(kLeft), "i"(kSums));
  }
  /// Sums += activations by weights, both bfloat16.
  template <int kSums, int kLeft, int kRight>
  static void dot_bfloats() {
    asm volatile("tdpbf16ps %%tmm%c0, %%tmm%c1, %%tmm%c2" : : "i"(kRight), "i"(kLeft), "i"(kSums));
  }
  template <int kTile>
  static void store(void* rows, std::int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(rows), "r"(stride), "i"(kTile) : "memory");
  }
};

}  // namespace lowbit::kernels
