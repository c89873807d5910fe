#include "quantization/transforms/awq.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/log.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/transforms/awq_candidates.h"
#include "quantization/transforms/awq_loss.h"
#include "quantization/transforms/group_scaling.h"
#include "quantization/transforms/race.h"

namespace lowbit {
namespace {

// Tokens taken from one sequence, always its first, since attention looks back only.
constexpr std::int64_t kTokensOfASequence = 256;

// Linears whose outputs meet in the scores of attention: their ranges are left alone, as in the authors' program.
bool feeds_scores(const std::string& linear) { return linear.ends_with("q_proj") || linear.ends_with("k_proj"); }

std::string layer_name(const BlockContext& context, const std::string& part) {
  return fmt::format("{}.{}", context.original().name(), part);
}

// What rounding leaves of the group's weights when their inputs are scaled.
std::vector<at::Tensor> rounded_weights(const BlockContext& context, const std::vector<at::Tensor>& weights,
                                        const FusedGroup& group, const at::Tensor& scale) {
  std::vector<at::Tensor> result;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const WeightSolver* solver = context.solver(group.linears[i]);
    if (solver == nullptr) {
      result.push_back(weights[i]);
      continue;
    }
    result.push_back(with_context(layer_name(context, group.linears[i]),
                                  [&] { return solver->approximate(weights[i].mul(scale)).div(scale); }));
  }
  return result;
}

// 0 .. count - 1 from the middle outwards: the best candidate is mostly near it, and once its loss is known, others are
// given up early.
std::vector<std::size_t> middle_first(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto distance = [&](std::size_t index) { return std::max(2 * index, count) - std::min(2 * index, count); };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return distance(a) < distance(b); });
  return order;
}

}  // namespace

// The block's state for each sequence of the sample.
struct Awq::Sample {
  std::vector<BlockState> states;
  [[nodiscard]] std::vector<at::Tensor> inputs() const {
    std::vector<at::Tensor> result;
    for (const BlockState& state : states) result.push_back(state.x);
    return result;
  }
  [[nodiscard]] at::Tensor rows() const {
    std::vector<at::Tensor> result;
    for (const BlockState& state : states) result.push_back(to_dtype(state.x.flatten(0, 1), DType::kFloat32));
    return concatenate(result, 0);
  }
};

void AwqOptions::visit(FieldVisitor& v) {
  v.field("steps", steps, "candidates of the scale search: ratios 0, 1/steps, 2/steps ...", {1, 1000});
  v.field("duo_scaling", duo_scaling, "let the weights' magnitudes take part in the scale, not only the inputs'");
  v.field("clip", clip, "also clip each group's range (not of q and k) where that lessens the output's error");
  v.field("clip_steps", clipping.grid, "steps of the range search for a whole range", {1, 1000});
  v.field("max_shrink", clipping.max_shrink, "the part of a range that clipping may take away at most", {0, 0.95});
  v.field("tokens", tokens, "calibration tokens that a candidate is tried on", {1, 1 << 20});
  v.field(
      "give_up", give_up,
      "give a candidate up whose loss, on the tokens so far, passes the best one's on the same tokens by this share",
      {0, 1e6});
  v.field("groups", groups, group_names_help());
}

void AwqOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  check_group_names(groups, problems, mark);
}

StatisticsNeeds Awq::needs() const {
  StatisticsNeeds needs;
  needs.channel_range = true;
  needs.stream = Stream::kFloat;
  return needs;
}

Awq::Sample Awq::draw_sample(BlockContext& context) const {
  const std::int64_t sequences = context.sequences();
  const std::int64_t each = std::max(kTokensOfASequence, (options_.tokens + sequences - 1) / sequences);
  const std::int64_t taken = std::min(sequences, (options_.tokens + each - 1) / each);
  Sample sample;
  for (std::int64_t i = 0; i < taken; ++i) {
    const at::Tensor hidden = context.input(Stream::kFloat, i * sequences / taken);
    const std::int64_t length = std::min({hidden.size(1), each, options_.tokens});
    sample.states.push_back(context.block().begin(hidden.narrow(1, 0, length).contiguous()));
  }
  return sample;
}

bool Awq::wants(const BlockContext& context, const FusedGroup& group) const {
  const bool named = std::find(options_.groups.begin(), options_.groups.end(), group.name) != options_.groups.end();
  return named && std::any_of(group.linears.begin(), group.linears.end(),
                              [&](const std::string& linear) { return context.solver(linear) != nullptr; });
}

at::Tensor Awq::find_scale(BlockContext& context, const FusedGroup& group, const Sample& sample) const {
  Block& block = context.block();
  std::vector<at::Tensor> weights;
  at::Tensor magnitudes;
  std::int64_t rows = 0;
  for (const std::string& linear : group.linears) {
    weights.push_back(block.linear(linear).op->dense_weight());
    const WeightSolver* solver = context.solver(linear);
    if (solver == nullptr) continue;
    const at::Tensor own = normalised_magnitudes(weights.back(), solver->grid().group);
    magnitudes = magnitudes.defined() ? magnitudes.add(own) : own;
    rows += weights.back().size(0);
  }
  const at::Tensor inputs = join_repeats(context.statistics(group.name).channel_absmean(), block, group, Join::kMean);
  const auto dead = inputs.eq(0).sum().item<std::int64_t>();
  if (dead > 0) {
    context.report(
        {layer_name(context, group.name), "channels without activity are not scaled", static_cast<double>(dead)});
  }
  at::Tensor shares;
  if (options_.duo_scaling) {
    shares = join_repeats(magnitudes.div(static_cast<double>(rows)), block, group, Join::kMean);
  }
  const ModuleLoss loss(block, group, sample.inputs(), context.rope());
  const std::vector<at::Tensor> candidates = awq_candidates(inputs, shares, options_.steps);
  Race race(loss.parts(), options_.give_up);
  for (const std::size_t index : middle_first(candidates.size())) {
    context.check_cancelled();
    const at::Tensor scale = spread_repeats(candidates[index], block, group);
    const ModuleLoss::Trial trial = loss.with(rounded_weights(context, weights, group, scale));
    race.enter(index, [&](std::size_t part) { return trial.of(part); });
  }
  return spread_repeats(candidates[race.winner()], block, group);
}

void Awq::clip_group(BlockContext& context, const FusedGroup& group, const at::Tensor& inputs) const {
  for (const std::string& linear : group.linears) {
    const WeightSolver* solver = context.solver(linear);
    if (solver == nullptr || feeds_scores(linear) || solver->grid().group == 0) continue;
    LinearSlot& slot = context.block().linear(linear);
    replace_weight(context.block(), slot,
                   clip_to_least_error(slot.op->dense_weight(), inputs, *solver, options_.clipping,
                                       [&] { context.check_cancelled(); }));
  }
}

// Inputs are those of the unclipped block throughout: scales leave its function alone, clipping comes last.
std::vector<StatisticsEffect> Awq::apply(BlockContext& context) {
  const NoGradScope no_gradients;
  Block& block = context.block();
  Sample sample = draw_sample(context);
  const std::vector<FusedGroup> groups = block.fused_groups();
  std::vector<StatisticsEffect> effects;
  std::vector<std::pair<const FusedGroup*, at::Tensor>> to_clip;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (wants(context, groups[g])) {
      const at::Tensor scale = find_scale(context, groups[g], sample);
      effects.emplace_back(scale_group(block, groups[g], scale, ScalePlace::kFolded));
      for (BlockState& state : sample.states)
        state.x = state.x.div(to_place(scale, dtype_of(state.x), state.x.device()));
      if (options_.clip) to_clip.emplace_back(&groups[g], sample.rows());
    }
    for (BlockState& state : sample.states) block.step(state, g, context.rope());
  }
  for (const auto& [group, inputs] : to_clip) clip_group(context, *group, inputs);
  if (!to_clip.empty()) {
    for (std::size_t g = 1; g < groups.size(); ++g) effects.emplace_back(Invalidated{groups[g].name});
  }
  return effects;
}

}  // namespace lowbit
