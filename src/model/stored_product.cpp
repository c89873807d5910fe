#include "model/stored_product.h"

#include <optional>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/formats/certificate.h"
#include "lowbit/formats/pack_weight.h"
#include "lowbit/model/activation_scheme.h"
#include "model/device_linear.h"
#include "model/load_weight.h"
#include "model/packed_op.h"

namespace lowbit {
namespace {

using kernels::Arithmetic;

// Whether 'int8' rounds inputs as these settings say: kernels/api.h and `ActivationScheme` define the same numbers.
bool is_int8_rounding(const RuntimeRecord& record) {
  const std::optional<ActivationScheme> scheme = activation_scheme_of(record);
  return scheme && scheme->type == ActivationScheme::Type::kInteger && scheme->bits == 8 &&
         scheme->symmetry == Symmetry::kSymRestricted && scheme->per == ActivationScheme::Per::kToken;
}

bool is_float8_rounding(const RuntimeRecord& record) {
  const std::optional<ActivationScheme> scheme = activation_scheme_of(record);
  return scheme && scheme->type == ActivationScheme::Type::kFloat8 && scheme->per == ActivationScheme::Per::kToken;
}

// Inputs that nothing has rounded reach the products in the type of the computation.
DeviceArithmetic choose_device_arithmetic(const QuantizedWeight& weight, const std::vector<RuntimeRecord>& around,
                                          DType type) {
  const bool whole = weight.grid.kind == GridKind::kInteger;
  if (!around.empty() && is_float8_rounding(around.back())) return DeviceArithmetic::kFloat8;
  if (!whole && type != DType::kBFloat16) {
    fail(ErrorCode::kUnsupported,
         "the weight has a table of numbers or real zero points, and the GPU's kernels take tables with bfloat16 "
         "activations; set 'dtype: bfloat16'");
  }
  if (!around.empty() && whole && is_int8_rounding(around.back())) return DeviceArithmetic::kInt8;
  if (!around.empty()) {
    fail(ErrorCode::kUnsupported,
         "inputs are mapped or rounded by '{}', and the GPU's kernels round them themselves or not at all",
         activation_scheme_of(around.back()) ? activation_scheme_of(around.back())->text() : around.back().name);
  }
  return type == DType::kBFloat16 ? DeviceArithmetic::kBFloat16 : DeviceArithmetic::kInt16;
}

Arithmetic choose_arithmetic(const QuantizedWeight& weight, const std::vector<RuntimeRecord>& around) {
  if (weight.grid.kind != GridKind::kInteger) return Arithmetic::kFloat32;
  if (around.empty()) return Arithmetic::kInt16;
  if (!is_int8_rounding(around.back())) return Arithmetic::kFloat32;
  return weight.grid.scale_type == ScaleType::kUint8 ? Arithmetic::kInt8TwoLevel : Arithmetic::kInt8;
}

std::string names_of(const std::vector<RuntimeRecord>& records) {
  std::string names;
  for (const RuntimeRecord& record : records) {
    const std::optional<ActivationScheme> scheme = activation_scheme_of(record);
    names += (names.empty() ? "" : ", ") + (scheme ? scheme->text() : record.name);
  }
  return names;
}

void note(const Certificate& certificate, ProductRecord& record) {
  record.kernels = certificate.kernels;
  record.error = certificate.relative_error;
  record.worst_share = certificate.worst_share;
  record.outputs = certificate.outputs;
  if (certificate.holds()) return;
  fail(ErrorCode::kInternal,
       "the packed product ({}, {}) is off by {:.3g} from the decoded weight in row {} on input '{}', where rounding "
       "explains {:.3g}: the packed weight is damaged, or a kernel is wrong; compute with 'execution: simulated'",
       record.arithmetic, certificate.kernels, certificate.worst_error, certificate.row, certificate.input,
       certificate.bound);
}

StoredProduct packed_product(std::shared_ptr<LinearOp> op, std::vector<RuntimeRecord> around, const std::string& linear,
                             std::string_view arithmetic) {
  StoredProduct product{std::move(op), std::move(around), {}};
  product.record.linear = linear;
  product.record.packed = true;
  product.record.arithmetic = arithmetic;
  product.record.around = names_of(product.around);
  product.record.bytes = product.op->weight_bytes();
  return product;
}

// With kAuto kernels that cannot be loaded are one more reason to simulate.
void require_kernels(const ComputeOptions& options) {
  try {
    require_packed_products(options.device);
  } catch (const Error& error) {
    if (options.execution == Execution::kPacked) throw;
    fail(ErrorCode::kUnsupported, "{}", error.what());
  }
}

StoredProduct pack_on_device(const QuantizedWeight& weight, std::vector<RuntimeRecord> around,
                             const std::string& linear, at::Tensor bias, const ComputeOptions& options) {
  require_kernels(options);
  const DeviceArithmetic arithmetic = choose_device_arithmetic(weight, around, options.dtype);
  const bool rounds = arithmetic == DeviceArithmetic::kInt8 || arithmetic == DeviceArithmetic::kFloat8;
  if (rounds) around.pop_back();
  const auto packed =
      std::make_shared<DeviceLinear>(DeviceWeight(pack_weight(weight), options.device), std::move(bias), arithmetic);
  StoredProduct product = packed_product(packed, std::move(around), linear, arithmetic_name(arithmetic));
  if (options.certify) note(packed->certify(weight), product.record);
  return product;
}

StoredProduct pack(const QuantizedWeight& weight, std::vector<RuntimeRecord> around, const std::string& linear,
                   at::Tensor bias, const ComputeOptions& options) {
  const Arithmetic arithmetic = choose_arithmetic(weight, around);
  const bool rounds = arithmetic == Arithmetic::kInt8 || arithmetic == Arithmetic::kInt8TwoLevel;
  if (rounds) around.pop_back();
  const auto packed = std::make_shared<PackedLinear>(pack_weight(weight), std::move(bias), arithmetic);
  StoredProduct product = packed_product(packed, std::move(around), linear, kernels::arithmetic_name(arithmetic));
  if (options.certify) note(certify_product(weight, packed->weight(), arithmetic), product.record);
  return product;
}

// Without an `op` where it must be simulated.
StoredProduct pack_or_explain(const QuantizedWeight& weight, StoredProduct product, const std::string& linear,
                              const Shape& shape, const at::Tensor& bias, const ComputeOptions& options) {
  if (Shape{weight.rows(), weight.columns()} != shape) {
    fail(ErrorCode::kData, "the weight is [{}, {}], expected {}", weight.rows(), weight.columns(), shape_text(shape));
  }
  try {
    return options.device.is_cpu() ? pack(weight, product.around, linear, bias, options)
                                   : pack_on_device(weight, product.around, linear, bias, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    if (options.execution == Execution::kPacked) {
      fail(ErrorCode::kUnsupported, "cannot run packed: {}; 'execution: auto' simulates what no kernel computes",
           error.what());
    }
    product.record.linear = linear;
    product.record.reason = error.what();
    return product;
  }
}

bool wants_packed(const ComputeOptions& options) {
  return options.execution != Execution::kSimulated && is_packed_device(options.device) && !options.differentiable;
}

}  // namespace

StoredProduct load_product(const WeightSource& weights, const std::string& linear, const Shape& shape, at::Tensor bias,
                           const ComputeOptions& options) {
  StoredProduct product;
  product.around = weights.executions(linear);
  const std::optional<QuantizedWeight> weight = wants_packed(options) ? weights.load_quantized(linear) : std::nullopt;
  if (weight) {
    with_context(fmt::format("{}: {}", weights.path().string(), linear),
                 [&] { product = pack_or_explain(*weight, std::move(product), linear, shape, bias, options); });
    if (product.op) return product;
  }
  product.op = make_float_linear(load_weight(weights, linear + ".weight", shape, options), std::move(bias));
  return product;
}

}  // namespace lowbit
