#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// How often numbers occur, in bins whose numbers share sign, exponent and the highest 9 bits of the mantissa of a
/// float32: at most 0.2 % wide at any magnitude, so that no range has to be known beforehand, and histograms of parts
/// add up exactly to that of the whole.
class Histogram {
 public:
  static constexpr int kDroppedBits = 14;
  static constexpr std::size_t kBins = std::size_t{1} << (32 - kDroppedBits);

  Histogram() : counts_(kBins, 0) {}
  /// Finite float32 values, contiguous.
  void add(const at::Tensor& values);
  void merge(const Histogram& other);

  struct Bin {
    double value;  ///< the middle of the bin
    std::int64_t count;
  };
  /// The bins that are not empty, values rising.
  [[nodiscard]] std::vector<Bin> bins() const;

 private:
  std::vector<std::int64_t> counts_;  // by the highest bits of the number
};

}  // namespace LOWBIT_EXPORT
