#pragma once

#include <string_view>

namespace lowbit {

/// How codes are laid out: compressed-tensors' formats, each by its name there.
enum class CodeLayout {
  kPacked,  ///< "pack-quantized": bit streams; also what lowbit's own layout uses for all grids without a form below
  kFloat8,  ///< "float-quantized": `weight` of E4M3 numbers
  kNvfp4,   ///< "nvfp4-pack-quantized": two E2M1 codes a byte, the even column low
  kMxfp4,   ///< "mxfp4-pack-quantized": likewise, scales as exponents
};
[[nodiscard]] std::string_view code_layout_name(CodeLayout layout);

}  // namespace lowbit
