#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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

}  // namespace lowbit
