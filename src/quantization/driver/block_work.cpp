#include "quantization/driver/block_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/log.h"
#include "lowbit/quantization/shared_tensors.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "quantization/driver/layer_error.h"
#include "quantization/driver/row_solving.h"
#include "quantization/driver/step_context.h"

namespace lowbit {

BlockWork::BlockWork(const DriverRun& run, std::shared_ptr<const Block> original)
    : run_(run), original_(std::move(original)), block_(*original_) {
  artifact_.index = block_.index();
  if (!needs_original(run.recipe, run.streams)) original_.reset();
}

bool BlockWork::needs_original(const Recipe& recipe, const Streams& streams) {
  return streams.keeps_float() || !recipe.block_steps().empty();
}

bool BlockWork::needs_forward(const Recipe& recipe, const Streams& streams) {
  return streams.any() || !recipe.block_steps().empty();
}

std::string BlockWork::full_name(std::string_view linear) const { return fmt::format("{}.{}", block_.name(), linear); }

void BlockWork::add_event(const SolverEvent& event) {
  log::info("{}: {} ({})", event.layer, event.what, event.value);
  report_.events.push_back(event);
}

void BlockWork::solve() {
  if (!run_.recipe.block_steps().empty()) apply_block_steps();
  if (run_.streams.keeps_float()) transformed_ = block_;
  if (run_.shared != nullptr) {
    solve_with_shared_statistics();
  } else if (run_.recipe.driver().true_sequential) {
    solve_in_order();
  } else {
    solve_at_once();
  }
  transformed_.reset();
  if (!run_.recipe.block_steps().empty()) note_changed_tensors();
  attach_roundings();
  for (const LinearSlot& slot : block_.linears()) {
    for (const auto& execution : slot.executions) artifact_.executions[slot.name].push_back(execution->record());
  }
}

void BlockWork::apply_block_steps() {
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
    block_.norm(norm) = block_.norm(norm).clone();
  StatisticsNeeds needs[2];
  for (const auto& step : run_.recipe.block_steps()) {
    const StatisticsNeeds own = step->needs();
    StatisticsNeeds& joined = needs[static_cast<std::size_t>(own.stream)];
    if (own.any()) joined = joined | own;
  }
  StatisticsCache cache(needs[0], needs[1], [&](const StatisticsNeeds& wanted) {
    std::map<std::string, Statistics, std::less<>> result;
    std::optional<BlockPass> pass = make_pass(block_, wanted.stream);
    std::optional<BlockPass> other = wanted.cross ? make_pass(block_, Stream::kFloat) : std::nullopt;
    const std::vector<FusedGroup> groups = block_.fused_groups();
    for (std::size_t g = 0; g < groups.size(); ++g) {
      result.emplace(groups[g].name, collect_statistics(*pass, other ? &*other : nullptr, g, wanted));
    }
    return result;
  });
  for (std::size_t index = 0; index < run_.recipe.block_steps().size(); ++index) {
    BlockStep& step = *run_.recipe.block_steps()[index];
    run_.cancellation.check();
    StepContext context(run_, *original_, block_, cache, step.needs().stream, index,
                        [this](const SolverEvent& event) { add_event(event); });
    cache.apply(step.apply(context));
  }
}

std::optional<BlockPass> BlockWork::make_pass(const Block& block, Stream stream) const {
  const bool kept = stream == Stream::kQuantized ? run_.streams.any() : run_.streams.keeps_float();
  if (!kept) return std::nullopt;
  return std::optional<BlockPass>(std::in_place, block, run_.streams.inputs(stream), run_.rope, run_.cancellation,
                                  &run_.held[static_cast<std::size_t>(stream)], run_.streams.release(stream));
}

std::vector<StatisticsNeeds> BlockWork::solver_needs(const FusedGroup& group) const {
  std::vector<StatisticsNeeds> needs;
  for (const std::string& linear : group.linears) {
    if (const WeightSolver* solver = run_.recipe.solver(full_name(linear))) needs.push_back(solver->needs());
  }
  return needs;
}

BlockWork::GroupStatistics BlockWork::collect(BlockPass* quantized, BlockPass* reference, std::size_t group,
                                              const std::vector<StatisticsNeeds>& needs) const {
  StatisticsNeeds joined[2];
  for (const StatisticsNeeds& own : needs) {
    StatisticsNeeds& target = joined[static_cast<std::size_t>(own.stream)];
    if (own.any()) target = target | own;
  }
  GroupStatistics result;
  const StatisticsNeeds& of_float = joined[static_cast<std::size_t>(Stream::kFloat)];
  const StatisticsNeeds& of_quantized = joined[static_cast<std::size_t>(Stream::kQuantized)];
  if (of_float.any()) result.of_float = collect_statistics(*reference, reference, group, of_float);
  if (of_quantized.any()) result.of_quantized = collect_statistics(*quantized, reference, group, of_quantized);
  return result;
}

void BlockWork::solve_in_order() {
  std::optional<BlockPass> pass = make_pass(block_, Stream::kQuantized);
  std::optional<BlockPass> reference = make_pass(transformed_ ? *transformed_ : block_, Stream::kFloat);
  const std::vector<FusedGroup> groups = block_.fused_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    solve_group(groups[g],
                collect(pass ? &*pass : nullptr, reference ? &*reference : nullptr, g, solver_needs(groups[g])));
  }
  if (pass) solved_pass_.emplace(std::move(*pass));
}

void BlockWork::solve_at_once() {
  std::vector<GroupStatistics> statistics;
  const std::vector<FusedGroup> groups = block_.fused_groups();
  {
    std::optional<BlockPass> pass = make_pass(block_, Stream::kQuantized);
    std::optional<BlockPass> reference = make_pass(block_, Stream::kFloat);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      statistics.push_back(
          collect(pass ? &*pass : nullptr, reference ? &*reference : nullptr, g, solver_needs(groups[g])));
    }
  }
  for (std::size_t g = 0; g < groups.size(); ++g) solve_group(groups[g], statistics[g]);
}

void BlockWork::solve_with_shared_statistics() {
  StatisticsByGroup statistics = shared_statistics();
  for (const FusedGroup& group : block_.fused_groups()) {
    const auto found = statistics.find(group.name);
    if (found == statistics.end())
      fail(ErrorCode::kData, "{}: the shared statistics lack group '{}'", block_.name(), group.name);
    solve_group(group, {.of_float = found->second, .of_quantized = found->second});  // one stream under both names
    statistics.erase(found);
  }
}

StatisticsByGroup BlockWork::shared_statistics() {
  if (run_.shared->has(block_.index())) return run_.shared->read(block_.index());
  StatisticsByGroup statistics;
  // The original goes on being the original when the block's weights are replaced.
  if (std::optional<BlockPass> pass = make_pass(*original_, Stream::kFloat)) float_pass_.emplace(std::move(*pass));
  const std::vector<FusedGroup> groups = block_.fused_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    statistics.emplace(groups[g].name, collect_statistics(*float_pass_, nullptr, g, run_.shared->needs()));
  }
  run_.shared->write(block_.index(), statistics);
  return statistics;
}

void BlockWork::solve_group(const FusedGroup& group, const GroupStatistics& statistics) {
  SharedTensors shared[2];  // of either stream
  for (const std::string& linear : group.linears) {
    run_.cancellation.check();
    const WeightSolver* solver = run_.recipe.solver(full_name(linear));
    const bool alone = group.linears.size() == 1 || solver == nullptr;
    solve_linear(block_.linear(linear), statistics,
                 alone ? nullptr : &shared[static_cast<std::size_t>(solver->needs().stream)]);
  }
}

std::optional<QuantizedWeight> BlockWork::take_solution(const std::string& linear) {
  const auto& steps = run_.recipe.block_steps();
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (std::optional<QuantizedWeight> solution = (*step)->take_solution(linear)) return solution;
  }
  return std::nullopt;
}

void BlockWork::solve_linear(LinearSlot& slot, const GroupStatistics& statistics, SharedTensors* shared) {
  const auto start = std::chrono::steady_clock::now();
  const std::string layer = full_name(slot.name);
  const WeightSolver* solver = run_.recipe.solver(layer);
  std::optional<QuantizedWeight> solved = take_solution(slot.name);
  if (!solved && solver == nullptr) return;
  run_.progress.note(layer);
  const Statistics* seen = solver != nullptr ? statistics.of(solver->needs().stream) : nullptr;
  LinearProblem problem;
  problem.layer = layer;
  problem.statistics = seen;
  problem.random = Random(run_.seed, "quantize").child(layer);
  problem.cancellation = &run_.cancellation;
  problem.device = block_.options().device;
  problem.shared = shared;
  problem.report = [&](std::string_view what, double value) { add_event({layer, std::string(what), value}); };

  LayerReport report;
  report.layer = layer;
  report.output_error = -1;
  const bool forward = needs_forward(run_.recipe, run_.streams);
  std::optional<RowSolution> by_rows;
  if (!solved && !forward) by_rows = solve_by_rows(*slot.op, *solver, problem);
  if (by_rows) {
    report.weight_error = by_rows->weight_error;
    solved = std::move(by_rows->weight);
  } else {
    const at::Tensor weight = slot.op->dense_weight().contiguous();
    if (!solved) {
      problem.weight = weight.clone();
      solved = solver->solve(problem);
      problem.weight = at::Tensor();
    }
    solved->check(layer);
    const at::Tensor dense = solved->dequantize();
    if (forward) replace_weight(slot, dense);
    report.weight_error = relative_error(weight, dense);
    if (seen != nullptr && seen->needs().hessian) {
      const at::Tensor matrices[] = {weight, weight.sub(dense), weight.sub(solver->approximate(weight))};
      const std::vector<double> norms = output_norms(matrices, *seen, block_.options().device);
      report.output_error = share_of(norms[1], norms[0]);
      report.nearest_output_error = share_of(norms[2], norms[0]);
    }
  }
  report.grid = solved->grid.text();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report_.layers.push_back(std::move(report));
  artifact_.linears.insert_or_assign(slot.name, std::move(*solved));
}

at::Tensor BlockWork::for_compute(const at::Tensor& weight) const {
  return to_place(weight, block_.options().dtype, block_.options().device);
}

// The same numbers that a reader of the artifact gets.
void BlockWork::replace_weight(LinearSlot& slot, const at::Tensor& dense) {
  slot.op = make_float_linear(for_compute(dense), slot.op->bias());
}

void BlockWork::note_if_changed(const std::string& name, const at::Tensor& now, const at::Tensor& before) {
  if (!now.defined() || (before.defined() && now.equal(before))) return;
  artifact_.tensors.insert_or_assign(full_name(name), to_dtype(now, DType::kFloat32).cpu().contiguous());
}

// What block steps rewrote and no solver has put on a grid.
void BlockWork::note_changed_tensors() {
  Block before = *original_;
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
    note_if_changed(std::string(norm) + ".weight", block_.norm(norm), before.norm(norm));
  }
  for (const LinearSlot& slot : block_.linears()) {
    const LinearOp& source = *original_->linear(slot.name).op;
    if (artifact_.linears.count(slot.name) == 0 && slot.op.get() != &source) {
      note_if_changed(slot.name + ".weight", slot.op->dense_weight(), source.dense_weight());
    }
    note_if_changed(slot.name + ".bias", slot.op->bias(), source.bias());
  }
}

void BlockWork::restore(const BlockArtifact& artifact) {
  artifact_ = artifact;
  const auto changed = [&](const std::string& name) -> at::Tensor {
    const auto found = artifact.tensors.find(full_name(name));
    return found == artifact.tensors.end() ? at::Tensor() : for_compute(found->second);
  };
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
    const at::Tensor weight = changed(std::string(norm) + ".weight");
    if (weight.defined()) block_.norm(norm) = weight;
  }
  for (LinearSlot& slot : block_.linears()) {
    const at::Tensor weight = changed(slot.name + ".weight");
    const at::Tensor bias = changed(slot.name + ".bias");
    if (weight.defined() || bias.defined()) {
      const at::Tensor dense = weight.defined() ? weight : for_compute(slot.op->dense_weight());
      slot.op = make_float_linear(dense, bias.defined() ? bias : slot.op->bias());
    }
    const auto solved = artifact.linears.find(slot.name);
    if (solved != artifact.linears.end()) replace_weight(slot, solved->second.dequantize());
    const auto records = artifact.executions.find(slot.name);
    slot.executions = records == artifact.executions.end() ? decltype(slot.executions)()
                                                           : make_executions(records->second, *slot.op, run_.readers);
  }
}

void BlockWork::propagate() {
  if (!run_.streams.any()) return;
  if (run_.streams.keeps_quantized()) {
    std::optional<BlockPass> pass = solved_pass_ ? std::move(solved_pass_) : make_pass(block_, Stream::kQuantized);
    run_.streams.advance(Stream::kQuantized, *pass);
  }
  if (run_.streams.keeps_float()) {
    std::optional<BlockPass> pass = float_pass_ ? std::move(float_pass_) : make_pass(*original_, Stream::kFloat);
    run_.streams.advance(Stream::kFloat, *pass);
  }
}

std::shared_ptr<const Block> with_input_maps(const Recipe& recipe, const std::shared_ptr<const Block>& block) {
  std::shared_ptr<Block> mapped;
  for (const LinearSlot& slot : block->linears()) {
    const std::string layer = fmt::format("{}.{}", block->name(), slot.name);
    for (const ExecutionStep* step : recipe.executions(layer, ExecutionStep::Kind::kInputMap)) {
      if (!mapped) mapped = std::make_shared<Block>(*block);
      if (auto made = step->make(slot, nullptr)) mapped->linear(slot.name).executions.push_back(std::move(made));
    }
  }
  return mapped ? mapped : block;
}

bool BlockWork::has_roundings() const {
  return std::any_of(block_.linears().begin(), block_.linears().end(), [&](const LinearSlot& slot) {
    return !run_.recipe.executions(full_name(slot.name), ExecutionStep::Kind::kRounding).empty();
  });
}

// Group by group, so that static ranges are those of inputs which passed the quantizers before them.
void BlockWork::attach_roundings() {
  if (!has_roundings()) return;
  solved_pass_.reset();
  if (std::optional<BlockPass> pass = make_pass(block_, Stream::kQuantized)) solved_pass_.emplace(std::move(*pass));
  const std::vector<FusedGroup> groups = block_.fused_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) attach_roundings(groups[g], g);
}

void BlockWork::attach_roundings(const FusedGroup& group, std::size_t place) {
  std::vector<StatisticsNeeds> needs;
  for (const std::string& linear : group.linears) {
    for (const ExecutionStep* step : run_.recipe.executions(full_name(linear), ExecutionStep::Kind::kRounding)) {
      needs.push_back(step->needs());
      needs.back().stream = Stream::kQuantized;
    }
  }
  const GroupStatistics statistics = collect(solved_pass_ ? &*solved_pass_ : nullptr, nullptr, place, needs);
  for (const std::string& linear : group.linears) {
    LinearSlot& slot = block_.linear(linear);
    for (const ExecutionStep* step : run_.recipe.executions(full_name(linear), ExecutionStep::Kind::kRounding)) {
      const Statistics* seen = step->needs().any() ? statistics.of(Stream::kQuantized) : nullptr;
      if (auto made = step->make(slot, seen)) slot.executions.push_back(std::move(made));
    }
  }
}

}  // namespace lowbit
