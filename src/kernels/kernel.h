#pragma once

#include "kernels/tiles.h"

namespace lowbit::kernels {

/// How activations lie for a kernel. Tokens go in tiles (the last may be smaller) of as many as the kernel takes at
/// once; a tile holds [place][tokens of the tile] words of 32 bits. A quad of padded columns takes
enum class Form {
  kBytes,      ///< one word: four int8
  kTwoPlanes,  ///< two words: a = 256 high + low, four int8 each, high first, low in -128..127
  kWords,      ///< two words of int16: columns 0 and 2, then 1 and 3
  kFloats,     ///< four words: float32
  kBFloats,    ///< two words of bfloat16, in the order of the columns
  kPlain,      ///< as kWords, but in the order of the columns, and tokens one by one
};
[[nodiscard]] constexpr int words_of_quad(Form form) {
  return form == Form::kBytes ? 1 : form == Form::kFloats ? 4 : 2;
}

/// After which columns a kernel turns whole numbers into floats.
enum class Ends { kGroup, kRun, kRow };

/// The product of one call, for one arithmetic and one form of activations.
struct Kernel {
  const char* name;
  Form form;
  int tile;  ///< tokens
  void (*run)(const Call& call);
};

/// The kernels of one instruction set for matrices that it has any for. "Direct" ones decode codes as they use them,
/// for few tokens; the others decode a run into a panel first.
struct KernelTable {
  Kernel direct_int8;        ///< up to 4 bits
  Kernel direct_int8_wide;   ///< 8 bits
  Kernel direct_int16;       ///< up to 4 bits
  Kernel direct_int16_wide;  ///< 8 bits
  Kernel panel_int8;         ///< up to 4 bits
  Kernel panel_int8_wide;    ///< 8 bits
  Kernel panel_int16;
  Kernel panel_float32;
  Kernel direct_two_level;
  Kernel panel_two_level;
  Kernel panel_bfloat16;
};

[[nodiscard]] const KernelTable& avx2_kernels();
[[nodiscard]] const KernelTable& avx512_kernels();
/// For any number of bits; the rest of an AMX machine's products are those of `avx512_kernels`.
[[nodiscard]] const Kernel& amx_int8_kernel();
[[nodiscard]] const Kernel& amx_two_level_kernel();
[[nodiscard]] const Kernel& amx_bfloat16_kernel();

}  // namespace lowbit::kernels
