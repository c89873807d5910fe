#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/kernels/api.h"
#include "lowbit/model/linear_op.h"

namespace lowbit {

/// In float32.
[[nodiscard]] at::Tensor decoded_matrix(const kernels::UnpackedWeight& weight);

/// What `make_packed_linear` makes.
class PackedLinear : public LinearOp {
 public:
  PackedLinear(kernels::PackedWeight weight, at::Tensor bias, kernels::Arithmetic arithmetic);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, bool deterministic) const override;
  void forward_parts(const at::Tensor& x, bool deterministic, OutputSink& sink) const override;
  [[nodiscard]] std::int64_t in_features() const override { return weight_.columns(); }
  [[nodiscard]] std::int64_t out_features() const override { return weight_.rows(); }
  [[nodiscard]] at::Tensor dense_weight() const override;
  [[nodiscard]] at::Tensor bias() const override { return bias_; }
  [[nodiscard]] std::int64_t weight_bytes() const override { return weight_.bytes(); }
  [[nodiscard]] const kernels::PackedWeight& weight() const { return weight_; }
  [[nodiscard]] kernels::Arithmetic arithmetic() const { return arithmetic_; }

 private:
  kernels::PackedWeight weight_;
  at::Tensor bias_;  // [out] or undefined
  kernels::Arithmetic arithmetic_;
};

}  // namespace lowbit
