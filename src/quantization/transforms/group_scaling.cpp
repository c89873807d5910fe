#include "quantization/transforms/group_scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

constexpr const char* kDivisor = "input_divisor";

class InputScaling : public LinearExecution {
 public:
  explicit InputScaling(at::Tensor divisor) : divisor_(std::move(divisor)) {}

  at::Tensor map_input(const at::Tensor& x) const override {
    return x.div(to_place(divisor_, dtype_of(x), x.device()));
  }
  RuntimeRecord record() const override {
    return {InputScalingOptions::kRecordName, echo_fields(InputScalingOptions()), {{kDivisor, divisor_}}};
  }
  std::string text() const override { return "input scaling"; }

 private:
  at::Tensor divisor_;  // [in] float32
};

class InputScalingReader : public ExecutionReader {
 public:
  std::shared_ptr<const LinearExecution> read(const std::map<std::string, at::Tensor>& tensors,
                                              const LinearOp& product) const override {
    const auto found = tensors.find(kDivisor);
    if (found == tensors.end()) fail(ErrorCode::kData, "tensor '{}' is missing", kDivisor);
    const at::Tensor& divisor = found->second;
    if (shape_of(divisor) != Shape{product.in_features()} || dtype_of(divisor) != DType::kFloat32) {
      fail(ErrorCode::kData, "tensor '{}' is {} {}, expected float32 [{}]", kDivisor, dtype_name(dtype_of(divisor)),
           shape_text(shape_of(divisor)), product.in_features());
    }
    if (!all_finite(divisor) || divisor.eq(0).any().item<bool>()) {
      fail(ErrorCode::kData, "tensor '{}' holds a number that nothing can be divided by", kDivisor);
    }
    return std::make_shared<InputScaling>(divisor);
  }
};

void divide_producer(Block& block, const FusedGroup& group, const at::Tensor& scale) {
  const auto& slots = block.linears();
  const bool is_linear =
      std::any_of(slots.begin(), slots.end(), [&](const auto& s) { return s.name == group.producer; });
  const auto divided = [&](const at::Tensor& values, const at::Tensor& divisor) {
    const at::Tensor quotient = to_place(values, DType::kFloat32, at::kCPU).div(divisor);
    return to_place(quotient, block.options().dtype, block.options().device);
  };
  if (!is_linear) {
    at::Tensor& norm = block.norm(group.producer);
    norm = divided(norm, scale);
    return;
  }
  const at::Tensor rows = join_repeats(scale, block, group, Join::kMax);
  if (!spread_repeats(rows, block, group).equal(scale)) {
    fail(ErrorCode::kInternal, "{}: a scale of '{}' differs between query heads of one KV head", block.name(),
         group.name);
  }
  LinearSlot& producer = block.linear(group.producer);
  at::Tensor bias = producer.op->bias();
  if (bias.defined()) bias = divided(bias, rows);
  producer.op = make_float_linear(divided(producer.op->dense_weight(), rows.unsqueeze(1)), bias);
}

}  // namespace

FusedGroup group_named(const Block& block, std::string_view name) {
  for (FusedGroup& group : block.fused_groups()) {
    if (group.name == name) return std::move(group);
  }
  fail(ErrorCode::kInternal, "{} has no group '{}'", block.name(), name);
}

at::Tensor join_repeats(const at::Tensor& values, const Block& block, const FusedGroup& group, Join join) {
  if (group.repeats == 1) return values;
  const at::Tensor heads = values.view({-1, group.repeats, block.architecture().head_dim});
  return (join == Join::kMean ? heads.mean(1) : heads.amax({1})).flatten();
}

at::Tensor spread_repeats(const at::Tensor& values, const Block& block, const FusedGroup& group) {
  if (group.repeats == 1) return values;
  const std::int64_t width = block.architecture().head_dim;
  const at::Tensor heads = values.view({-1, 1, width});
  return heads.expand({heads.size(0), group.repeats, width}).reshape({-1});
}

at::Tensor joined_weights(const Block& block, const FusedGroup& group) {
  std::vector<at::Tensor> weights;
  for (const std::string& linear : group.linears) weights.push_back(block.linear(linear).op->dense_weight());
  return concatenate(weights, 0);
}

void replace_weight(Block& block, LinearSlot& slot, const at::Tensor& weight) {
  slot.op = make_float_linear(to_place(weight, block.options().dtype, block.options().device), slot.op->bias());
}

DiagonalMap scale_group(Block& block, const FusedGroup& group, const at::Tensor& scale, ScalePlace place) {
  if (!all_finite(scale)) {
    fail(ErrorCode::kData, "{}: the scale of '{}' is not finite, since a weight of {} holds NaN or Inf", block.name(),
         group.name, fmt::join(group.linears, ", "));
  }
  std::shared_ptr<const LinearExecution> scaling;
  if (place == ScalePlace::kFolded && group.producer.empty()) {
    fail(ErrorCode::kUnsupported,
         "{}: the inputs of '{}' are rotated, and no operation before them takes in a scale; leave the group out, or "
         "scale "
         "at run time",
         block.name(), group.name);
  }
  if (place == ScalePlace::kRunTime) {
    scaling = std::make_shared<InputScaling>(scale);
  } else {
    divide_producer(block, group, scale);
  }
  for (const std::string& linear : group.linears) {
    LinearSlot& slot = block.linear(linear);
    if (!slot.executions.empty() && !scaling) {
      fail(ErrorCode::kUnsupported,
           "{}.{}: '{}' maps its input, and a scale folded into '{}' does not pass it; leave the group '{}' out",
           block.name(), linear, slot.executions.front()->text(), group.producer, group.name);
    }
    replace_weight(block, slot, slot.op->dense_weight().mul(scale));
    if (scaling) slot.executions.push_back(scaling);
  }
  return {group.name, scale};
}

std::unique_ptr<ExecutionReader> make_input_scaling_reader() { return std::make_unique<InputScalingReader>(); }

}  // namespace lowbit
