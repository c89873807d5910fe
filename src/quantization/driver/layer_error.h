#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "lowbit/calibration/statistics.h"
#include "lowbit/formats/quantized_weight.h"

namespace lowbit {

/// ||a - b||_F / ||a||_F in float64, 0 when both are 0. Neither threads nor the parts that come in change a bit.
class RowErrors {
 public:
  explicit RowErrors(std::int64_t rows);
  /// Rows of a and b from `first` on, float32 [rows, columns]; each once, several threads' at a time.
  void add(std::int64_t first, const at::Tensor& original, const at::Tensor& solved);
  void add(std::int64_t first, const at::Tensor& original, const QuantizedWeight& solved);
  [[nodiscard]] double relative() const;

 private:
  void add_row(std::int64_t row, std::span<const float> original, const float* solved);
  std::vector<double> changes_;
  std::vector<double> squares_;
};
[[nodiscard]] double relative_error(const at::Tensor& original, const at::Tensor& solved);

/// sqrt(tr(M H M^T)) of each of some float32 matrices M [out, in], H being the Hessian that `statistics` hold: how far
/// a weight M, or a change M of a weight, moves the output. Each part of H is used twice, for itself and for its mirror
/// image, so that half of the products need no computing. Products are made on `device`, in float32, and added up in
/// float64.
[[nodiscard]] std::vector<double> output_norms(std::span<const at::Tensor> matrices, const Statistics& statistics,
                                               at::Device device = at::kCPU);

/// `part` / `whole`, 0 when both are 0.
[[nodiscard]] double share_of(double part, double whole);

}  // namespace lowbit
