#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/quantization/steps.h"
#include "model/model_cases.h"
#include "quantization/driver/block_pass.h"

namespace lowbit::testing {

/// One block of a model, random token sequences and a solver for every linear (or none): what a block step is given,
/// without a driver.
class StepBench : public BlockContext {
 public:
  StepBench(std::shared_ptr<const Model> model, std::int64_t index, const StatisticsNeeds& needs,
            const WeightSolver* solver, std::int64_t sequences = 3, std::int64_t length = 16)
      : model_(std::move(model)), original_(*model_->block(index)), block_(original_), needs_(needs), solver_(solver) {
    const Random random(11, "tokens");
    const auto vocabulary = static_cast<std::uint64_t>(model_->architecture().vocabulary);
    for (std::int64_t s = 0; s < sequences; ++s) {
      std::vector<std::int64_t> ids;
      for (std::int64_t t = 0; t < length; ++t) {
        ids.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(s * length + t), vocabulary)));
      }
      hidden_.push_back(model_->embed(tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0)));
    }
    rope_ = make_rope_table(model_->architecture(), length);
  }

  Block& block() override { return block_; }
  const Block& original() const override { return original_; }
  const Statistics& statistics(std::string_view group) const override {
    const std::string name(group);
    if (!statistics_.contains(name)) {
      const auto groups = block_.fused_groups();
      BlockPass pass(block_, hidden_, rope_, cancellation_);
      for (std::size_t g = 0; g < groups.size(); ++g) {
        statistics_.emplace(groups[g].name, collect_statistics(pass, nullptr, g, needs_));
      }
    }
    return statistics_.at(name);
  }
  std::int64_t sequences() const override { return static_cast<std::int64_t>(hidden_.size()); }
  at::Tensor input(Stream, std::int64_t sequence) const override {
    return hidden_.at(static_cast<std::size_t>(sequence));
  }
  at::Tensor float_output(std::int64_t sequence) const override {
    return original_.forward(input({}, sequence), rope_);
  }
  const RopeTable& rope() const override { return rope_; }
  const WeightSolver* solver(std::string_view linear) const override { return keeps_float(linear) ? nullptr : solver_; }
  std::int64_t tokens_of(std::string_view) const override { return 0; }
  Random random(std::string_view purpose) const override { return Random(0, purpose); }
  void check_cancelled() const override {}
  void report(const SolverEvent& event) override { events.push_back(event); }

  /// The inputs of a group on the block as it is, all tokens: [tokens, in].
  at::Tensor group_input(std::size_t group) const {
    BlockPass pass(block_, hidden_, rope_, cancellation_);
    std::vector<at::Tensor> rows;
    for (std::size_t s = 0; s < hidden_.size(); ++s) rows.push_back(pass.input(s, group));
    return concatenate(rows, 0);
  }
  /// Largest change of the block's output, over the output's largest magnitude.
  double output_change() const {
    double change = 0, largest = 0;
    for (std::int64_t s = 0; s < sequences(); ++s) {
      const at::Tensor expected = to_dtype(float_output(s), DType::kFloat64);
      const at::Tensor found = to_dtype(block_.forward(input({}, s), rope_), DType::kFloat64);
      change = std::max(change, found.sub(expected).abs().max().item<double>());
      largest = std::max(largest, expected.abs().max().item<double>());
    }
    return change / largest;
  }

  std::function<bool(std::string_view)> keeps_float = [](std::string_view) { return false; };
  std::vector<SolverEvent> events;

 private:
  std::shared_ptr<const Model> model_;
  Block original_;
  Block block_;
  StatisticsNeeds needs_;
  const WeightSolver* solver_;
  std::vector<at::Tensor> hidden_;
  RopeTable rope_;
  Cancellation cancellation_;
  mutable std::map<std::string, Statistics, std::less<>> statistics_;
};

}  // namespace lowbit::testing
