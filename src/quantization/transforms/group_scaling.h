#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "lowbit/model/block.h"
#include "lowbit/quantization/steps.h"

namespace lowbit {

/// Where the division of a group's input by a scale goes.
enum class ScalePlace {
  kFolded,   ///< into the operation before: the gain of a norm, the rows and bias of a linear
  kRunTime,  ///< around the products, each time the model runs
};

/// Numbers of a group's input channels that must be equal for a scale to fold: a KV head's channels come back once for
/// each query head that shares it. `values` [in] -> [in / repeats], the mean or the maximum of those that belong
/// together.
enum class Join { kMean, kMax };
[[nodiscard]] at::Tensor join_repeats(const at::Tensor& values, const Block& block, const FusedGroup& group, Join join);
/// [in / repeats] -> [in]
[[nodiscard]] at::Tensor spread_repeats(const at::Tensor& values, const Block& block, const FusedGroup& group);

/// Divides the group's input by `scale` and multiplies the columns of its linears by it, so that the block's function
/// stays what it was. `scale` is float32 [in], positive; when folded, equal on channels that belong together. Throws
/// `kUnsupported` when something maps the input on its way to a product, `kData` when the scale is not finite.
DiagonalMap scale_group(Block& block, const FusedGroup& group, const at::Tensor& scale, ScalePlace place);

/// The group of that name. Throws `kInternal`.
[[nodiscard]] FusedGroup group_named(const Block& block, std::string_view name);
/// What the weights of the linears multiply, side by side: [sum of rows, in] float32.
[[nodiscard]] at::Tensor joined_weights(const Block& block, const FusedGroup& group);
/// Replaces a weight (float32) and keeps all else of the slot.
void replace_weight(Block& block, LinearSlot& slot, const at::Tensor& weight);

/// Reads the executions back that `ScalePlace::kRunTime` leaves.
struct InputScalingOptions {
  static constexpr const char* kRecordName = "input_scaling";
  void visit(FieldVisitor&) {}
};
[[nodiscard]] std::unique_ptr<ExecutionReader> make_input_scaling_reader();

}  // namespace lowbit
