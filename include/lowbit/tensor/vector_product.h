#pragma once

#include <cstdint>

#include "lowbit/base/export.h"
#include "lowbit/tensor/dtype.h"

namespace lowbit LOWBIT_EXPORT {

/// out[r] = bias[r] + sum over c of weight[r, c] x[c] on plain memory, in float32: sixteen sums of the columns with the
/// same c mod 16, each in the order of c, added up as a tree. The same bits on every processor, and those of `linear`
/// for one token.
struct VectorProduct {
  const float* x = nullptr;      ///< [columns]
  const void* weight = nullptr;  ///< [rows, columns], contiguous
  DType type = DType::kFloat32;  ///< of the weight: kFloat32 or kBFloat16
  const float* bias = nullptr;   ///< [rows] or null
  std::int64_t columns = 0;
  /// Rows begin .. end - 1 to out[0 .. end - begin - 1], on this thread.
  void run(std::int64_t begin, std::int64_t end, float* out) const;
};

}  // namespace LOWBIT_EXPORT
