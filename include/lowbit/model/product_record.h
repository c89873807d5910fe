#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// How a product with a weight that the model's file stores quantized is carried out.
enum class Execution {
  kSimulated,  ///< the weight is decoded to the type of the computation, inputs are rounded as tensors
  kPacked,     ///< on the packed codes; an error where no kernel computes it
  kAuto,       ///< packed where a kernel computes it, else simulated, and said
};
[[nodiscard]] std::string_view execution_name(Execution execution);

/// How one product with a quantized weight was carried out.
struct ProductRecord {
  std::string linear;        ///< "model.layers.3.mlp.down_proj", "lm_head"
  bool packed = false;       ///< else simulated
  std::string arithmetic;    ///< of the packed product: "int16"
  std::string around;        ///< what runs around it and is not part of its arithmetic: "int4 per token"
  std::string reason;        ///< why it is simulated, where it was to be packed
  std::int64_t bytes = 0;    ///< that the packed product reads of its weight
  std::string kernels;       ///< that were compared: "avx2: direct, bytes, panels of bytes"
  double error = 0;          ///< the largest on ordinary inputs, of the sum of the magnitudes of a product's terms
  double worst_share = 0;    ///< of the bound that was derived for a product, on any input; above 1 nothing runs
  std::int64_t outputs = 0;  ///< numbers that were compared with the decoded weight in float64; 0: not certified
};

/// Products that ran alike.
struct ProductSummary {
  ProductRecord worst;  ///< the one that came nearest to its bound, with the largest `error` of them all
  std::int64_t count = 0;
  std::int64_t outputs = 0;
  /// "210 packed, int16 (avx2: ...)", "3 simulated: why"
  [[nodiscard]] std::string text() const;
};
/// In the order in which they first appear.
[[nodiscard]] std::vector<ProductSummary> summarize_products(std::span<const ProductRecord> records);
/// What `arithmetic` rounds, for readers: the definition is that of kernels/api.h.
[[nodiscard]] std::string_view arithmetic_note(std::string_view arithmetic);

}  // namespace lowbit
