#pragma once

#include <cstddef>
#include <functional>

#include "lowbit/quantization/steps.h"
#include "quantization/driver/block_work.h"
#include "quantization/driver/statistics_cache.h"

namespace lowbit {

/// The driver's side of `BlockContext`, for one step on one block.
class StepContext : public BlockContext {
 public:
  StepContext(const DriverRun& run, const Block& original, Block& block, StatisticsCache& cache, Stream stream,
              std::size_t step, std::function<void(const SolverEvent&)> report);

  [[nodiscard]] Block& block() override { return block_; }
  [[nodiscard]] const Block& original() const override { return original_; }
  [[nodiscard]] const Statistics& statistics(std::string_view group) const override;
  [[nodiscard]] std::int64_t sequences() const override;
  [[nodiscard]] at::Tensor input(Stream stream, std::int64_t sequence) const override;
  [[nodiscard]] at::Tensor float_output(std::int64_t sequence) const override;
  [[nodiscard]] const RopeTable& rope() const override { return run_.rope; }
  [[nodiscard]] const WeightSolver* solver(std::string_view linear) const override;
  [[nodiscard]] std::int64_t tokens_of(std::string_view linear) const override;
  [[nodiscard]] Random random(std::string_view purpose) const override;
  void check_cancelled() const override { run_.cancellation.check(); }
  void report(const SolverEvent& event) override { report_(event); }

 private:
  const DriverRun& run_;
  const Block& original_;
  Block& block_;
  StatisticsCache& cache_;
  Stream stream_;
  std::size_t step_;
  std::function<void(const SolverEvent&)> report_;
};

}  // namespace lowbit
