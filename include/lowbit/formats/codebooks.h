#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// A table of numbers that codes stand for. Entries that are no finite number (E4M3's two NaN, E5M2's infinities) are
/// NaN here and must not be used as codes.
struct Codebook {
  std::string_view name;
  int bits = 4;
  std::span<const float> table;  ///< 2^bits entries or fewer; the code is the index
  /// A value half way between two entries goes to the even code (as in OCP floating-point formats); else to the lower
  /// entry.
  bool ties_to_even = false;
  float largest = 1.0F;      ///< the greatest magnitude that the table has with both signs
  int significand_bits = 0;  ///< explicit bits of a floating-point format's significand, for `ScaleRule::kEven`
  /// Codes in ascending order of what they stand for; without NaN, and of equal entries (0 and -0) the lowest code
  /// only.
  std::vector<std::uint8_t> ascending;
};

/// "nf4", "fp4" (bitsandbytes' 4-bit types), "e2m1", "e2m3", "e3m2", "e4m3", "e5m2" (OCP FP4, FP6, FP8), "int8" (OCP
/// MXINT8: two's complement in 64ths), "ternary" (0, 1, unused, -1: two's complement). Throws `kConfig` with the
/// nearest name.
[[nodiscard]] const Codebook& find_codebook(std::string_view name);
[[nodiscard]] std::vector<std::string> codebook_names();

/// The code, out of `ascending`, of the entry nearest to `value`, which must be finite.
[[nodiscard]] std::uint8_t nearest_code(const Codebook& codebook, float value);

}  // namespace lowbit
