#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/formats/certificate.h"
#include "lowbit/model/linear_op.h"
#include "lowbit/tensor/device_packed.h"

namespace lowbit {

/// A packed product on another device than the CPU.
class DeviceLinear : public LinearOp {
 public:
  /// `bias` [out] on the device, or undefined.
  DeviceLinear(DeviceWeight weight, at::Tensor bias, DeviceArithmetic arithmetic);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, bool deterministic) const override;
  [[nodiscard]] std::int64_t in_features() const override { return weight_.columns(); }
  [[nodiscard]] std::int64_t out_features() const override { return weight_.rows(); }
  [[nodiscard]] at::Tensor dense_weight() const override;
  [[nodiscard]] at::Tensor bias() const override { return bias_; }
  [[nodiscard]] std::int64_t weight_bytes() const override { return weight_.bytes(); }
  [[nodiscard]] DeviceArithmetic arithmetic() const { return arithmetic_; }
  [[nodiscard]] const DeviceWeight& weight() const { return weight_; }
  /// Compared with the decoded weight, from inputs in main memory to outputs there. kBFloat16 and kFloat8 lose too much
  /// in their sums to show every code that is off by one; where codes are whole numbers the same memory is compared by
  /// kInt16 too.
  [[nodiscard]] Certificate certify(const QuantizedWeight& weight) const;

 private:
  DeviceWeight weight_;
  at::Tensor bias_;
  DeviceArithmetic arithmetic_;
};

}  // namespace lowbit
