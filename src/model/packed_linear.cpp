#include "lowbit/model/packed_linear.h"

#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/formats/pack_weight.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "model/packed_op.h"

namespace lowbit {

namespace {

float decoded(const kernels::CanonicalWeight& weight, std::int64_t row, std::int64_t column) {
  const auto place = static_cast<std::size_t>(column);
  const std::int64_t group = weight.group_index.empty() ? column / weight.group : weight.group_index[place];
  const auto parameter = static_cast<std::size_t>(row * weight.groups + group);
  const std::uint8_t code = weight.codes[static_cast<std::size_t>(row * weight.columns + column)];
  if (weight.decoding == kernels::Decoding::kTable) return weight.scales[parameter] * weight.table[code];
  return weight.scales[parameter] * (static_cast<float>(code) - weight.zeros[parameter]);
}

}  // namespace

PackedLinear::PackedLinear(kernels::PackedWeight weight, at::Tensor bias, kernels::Arithmetic arithmetic)
    : weight_(std::move(weight)), bias_(std::move(bias)), arithmetic_(arithmetic) {
  if (bias_.defined() && (bias_.dim() != 1 || bias_.size(0) != weight_.rows())) {
    fail(ErrorCode::kInternal, "linear: a bias of {} does not go with {} outputs", shape_text(shape_of(bias_)),
         weight_.rows());
  }
  (void)kernels::explain(weight_, arithmetic_, 1);  // refuses what no kernel computes
}

at::Tensor PackedLinear::forward(const at::Tensor& x, bool) const {
  return packed_linear(x, weight_, bias_, arithmetic_);
}

void PackedLinear::forward_parts(const at::Tensor& x, bool, OutputSink& sink) const {
  struct Rounding {
    OutputSink& sink;
    bool rounds;  // to bfloat16, as `forward` does
  };
  Rounding rounding{sink, dtype_of(x) == DType::kBFloat16};
  const auto take = [](void* state, std::int64_t row, std::int64_t first, std::int64_t count, const float* values) {
    const auto& [target, rounds] = *static_cast<Rounding*>(state);
    const auto width = static_cast<std::size_t>(count);
    if (!rounds) return target.take(row, first, {values, width});
    float rounded[kernels::kOutputPart];
    for (std::size_t i = 0; i < width; ++i) rounded[i] = bfloat16_to_float(float_to_bfloat16(values[i]));
    target.take(row, first, {rounded, width});
  };
  packed_linear_parts(x, weight_, bias_, arithmetic_, {take, &rounding});
}

at::Tensor PackedLinear::dense_weight() const { return decoded_matrix(weight_.unpack()); }

at::Tensor decoded_matrix(const kernels::UnpackedWeight& unpacked) {
  const kernels::CanonicalWeight view = unpacked.view();
  at::Tensor dense = make_empty({view.rows, view.columns}, DType::kFloat32);
  const auto numbers = mutable_values_of<float>(dense);
  for (std::int64_t row = 0; row < view.rows; ++row) {
    for (std::int64_t column = 0; column < view.columns; ++column) {
      numbers[static_cast<std::size_t>(row * view.columns + column)] = decoded(view, row, column);
    }
  }
  for (std::size_t i = 0; i < view.outliers.rows.size(); ++i) {
    const std::int64_t place = std::int64_t{view.outliers.rows[i]} * view.columns + view.outliers.columns[i];
    numbers[static_cast<std::size_t>(place)] = view.outliers.values[i];
  }
  return dense;
}

std::shared_ptr<LinearOp> make_packed_linear(const QuantizedWeight& weight, at::Tensor bias,
                                             kernels::Arithmetic arithmetic) {
  return std::make_shared<PackedLinear>(pack_weight(weight), std::move(bias), arithmetic);
}

}  // namespace lowbit
