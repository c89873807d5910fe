#include "quantization/transforms/smoothquant.h"

#include <fmt/format.h>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/transforms/group_names.h"
#include "quantization/transforms/group_scaling.h"

namespace lowbit {
namespace {

constexpr double kLeast = 1e-5;  // of a weight's column and of a scale, as in the authors' program

}  // namespace

void SmoothQuantOptions::visit(FieldVisitor& v) {
  v.field("alpha", alpha, "how much of the inputs' spread moves into the weights: 0 none, 1 all", {0, 1});
  v.field("groups", groups, group_names_help());
  v.field("run_time", run_time,
          "divide the inputs each time the model runs, instead of folding the scales into the operation before");
}

void SmoothQuantOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  check_group_names(groups, problems, mark);
}

StatisticsNeeds SmoothQuant::needs() const {
  StatisticsNeeds needs;
  needs.channel_range = true;
  needs.stream = Stream::kFloat;
  return needs;
}

at::Tensor SmoothQuant::scale_of(BlockContext& context, const FusedGroup& group) const {
  at::Tensor inputs = context.statistics(group.name).channel_absmax();
  at::Tensor weights = joined_weights(context.block(), group).abs().amax({0});
  if (!options_.run_time) {
    inputs = join_repeats(inputs, context.block(), group, Join::kMax);
    weights = join_repeats(weights, context.block(), group, Join::kMax);
  }
  const at::Tensor spread = weights.clamp_min(kLeast).pow(1 - options_.alpha);
  at::Tensor scale = inputs.pow(options_.alpha).div(spread).clamp_min(kLeast);
  const at::Tensor dead = inputs.eq(0);
  const auto count = dead.sum().item<std::int64_t>();
  if (count > 0) {
    // Nothing is known of them: left as they are.
    scale = scale.masked_fill(dead, 1.0);
    context.report({fmt::format("{}.{}", context.block().name(), group.name),
                    "channels without activity are not smoothed", static_cast<double>(count)});
  }
  return options_.run_time ? scale : spread_repeats(scale, context.block(), group);
}

std::vector<StatisticsEffect> SmoothQuant::apply(BlockContext& context) {
  const NoGradScope no_gradients;
  std::vector<StatisticsEffect> effects;
  for (const std::string& name : options_.groups) {
    const FusedGroup group = group_named(context.block(), name);
    const at::Tensor scale = scale_of(context, group);
    effects.emplace_back(
        scale_group(context.block(), group, scale, options_.run_time ? ScalePlace::kRunTime : ScalePlace::kFolded));
  }
  return effects;
}

}  // namespace lowbit
