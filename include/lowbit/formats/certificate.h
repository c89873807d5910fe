#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/kernels/api.h"

namespace lowbit LOWBIT_EXPORT {

/// What a comparison of packed products with the decoded weight found.
struct Certificate {
  double relative_error = 0;  ///< the largest over ordinary inputs, of the sum of the magnitudes of a product's terms
  double worst_error = 0;     ///< |product - reference| where it is the largest part of its bound
  double bound = 0;           ///< of that product
  double worst_share = 0;     ///< worst_error / bound: at most 1, or something is wrong
  std::int64_t row = 0;       ///< where
  std::string input;          ///< on what: "normal 2", "signs of columns 0 .. 1023"
  std::string kernels;        ///< every kernel that took part: for one token and for all
  std::int64_t outputs = 0;   ///< numbers that were compared
  [[nodiscard]] bool holds() const { return worst_share <= 1; }
};

/// Multiplies the packed weight with seeded inputs (normal numbers as activations are; outliers, tiny and huge numbers,
/// cancelling ones; signs alone, of at most 1024 columns at once), all tokens together and each alone, and compares
/// every output with `weight.dequantize()` in float64. The bound of each output is derived from what `arithmetic`
/// rounds (docs/design/005-packed-models.md): with signs alone it is so small that a single code, scale or zero that is
/// off shows. An activation that kInt8 rounds is the recipe's and part of the reference; what kInt16 rounds is part of
/// the error. The same numbers for any threads.
[[nodiscard]] Certificate certify_product(const QuantizedWeight& weight, const kernels::PackedWeight& packed,
                                          kernels::Arithmetic arithmetic, std::string_view backend = {});

/// What a product makes of its inputs before it adds up, and how many roundings its sums may take.
enum class InputRounding {
  kNone,      ///< as `Arithmetic::kFloat32`
  kInt8,      ///< as `Arithmetic::kInt8`
  kInt16,     ///< as `Arithmetic::kInt16`
  kBFloat16,  ///< is given bfloat16 numbers, and adds them up in a matrix unit of which is known that a sum of products
              ///< loses no more than 2^-23 of the magnitudes for each term: twice that is allowed
  kFloat8,    ///< rounds to E4M3 numbers per token with scale max|x| / 448, and adds these up as kBFloat16
  kBFloat16Chains,  ///< as `Arithmetic::kBFloat16`: is given bfloat16 numbers, and adds them up in chains of float32
};

/// [tokens][columns] float32 -> [tokens][rows]
using MultiplyTokens = std::function<std::vector<float>(std::span<const float> inputs, std::int64_t tokens)>;

/// Another way in which a product takes many tokens.
struct CertifiedWay {
  MultiplyTokens multiply;
  /// Weights are rounded to bfloat16 first, and results last. The rounded weight is known, so that products are held to
  /// it as narrowly as others to the decoded weight; what it is off by (2^-8 of each term at most) is part of
  /// `Certificate::relative_error`.
  bool rounds_weight = false;
};

/// A product that is carried out elsewhere than by `kernels::multiply`.
struct CertifiedProduct {
  InputRounding rounding = InputRounding::kNone;
  MultiplyTokens multiply;
  std::string kernels;                    ///< for `Certificate::kernels`
  std::vector<CertifiedWay> others = {};  ///< of the same inputs, all tokens together
};
[[nodiscard]] Certificate certify_product(const QuantizedWeight& weight, const CertifiedProduct& product);

}  // namespace lowbit
