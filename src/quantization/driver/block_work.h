#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/model/artifact.h"
#include "lowbit/quantization/driver.h"
#include "quantization/driver/block_pass.h"
#include "quantization/driver/shared_statistics.h"
#include "quantization/driver/streams.h"

namespace lowbit {

/// What the work on all blocks shares.
struct DriverRun {
  const Recipe& recipe;
  Streams& streams;
  const RopeTable& rope;
  std::uint64_t seed;
  std::int64_t tokens;              ///< of the calibration set
  std::array<HeldStates, 2>& held;  ///< by stream
  const SharedStatistics* shared;   ///< null: statistics are this recipe's own
  const RuntimeReaders& readers;
  ProgressTask& progress;
  const Cancellation& cancellation;
};

/// What came out of one block besides its weights.
struct BlockReport {
  std::vector<LayerReport> layers;
  std::vector<SolverEvent> events;
};

/// The block with the executions of the recipe that map inputs: what all steps see.
[[nodiscard]] std::shared_ptr<const Block> with_input_maps(const Recipe& recipe,
                                                           const std::shared_ptr<const Block>& block);

/// Takes one block through the recipe: block steps, weight solvers, what runs around the products, both streams.
class BlockWork {
 public:
  BlockWork(const DriverRun& run, std::shared_ptr<const Block> original);
  /// False: weights are only rounded, and never multiplied with anything.
  [[nodiscard]] static bool needs_forward(const Recipe& recipe, const Streams& streams);

  /// Steps, solvers and what rounds the inputs of products; afterwards `artifact` and `report` are whole.
  void solve();
  /// Puts in what an earlier run solved.
  void restore(const BlockArtifact& artifact);
  /// Moves the streams to the next block.
  void propagate();

  [[nodiscard]] const BlockArtifact& artifact() const { return artifact_; }
  [[nodiscard]] const BlockReport& report() const { return report_; }
  [[nodiscard]] const Block& block() const { return block_; }

 private:
  [[nodiscard]] static bool needs_original(const Recipe& recipe, const Streams& streams);
  struct GroupStatistics {
    std::optional<Statistics> of_float;
    std::optional<Statistics> of_quantized;
    [[nodiscard]] const Statistics* of(Stream stream) const {
      const std::optional<Statistics>& wanted = stream == Stream::kFloat ? of_float : of_quantized;
      return wanted ? &*wanted : nullptr;
    }
  };
  void apply_block_steps();
  void solve_in_order();
  void solve_at_once();
  void solve_with_shared_statistics();
  [[nodiscard]] StatisticsByGroup shared_statistics();
  [[nodiscard]] GroupStatistics collect(BlockPass* quantized, BlockPass* reference, std::size_t group,
                                        const std::vector<StatisticsNeeds>& needs) const;
  [[nodiscard]] std::vector<StatisticsNeeds> solver_needs(const FusedGroup& group) const;
  [[nodiscard]] std::optional<BlockPass> make_pass(const Block& block, Stream stream) const;
  void solve_group(const FusedGroup& group, const GroupStatistics& statistics);
  void solve_linear(LinearSlot& slot, const GroupStatistics& statistics, SharedTensors* shared);
  [[nodiscard]] std::optional<QuantizedWeight> take_solution(const std::string& linear);
  [[nodiscard]] at::Tensor for_compute(const at::Tensor& weight) const;
  void replace_weight(LinearSlot& slot, const at::Tensor& dense);
  void note_changed_tensors();
  void note_if_changed(const std::string& name, const at::Tensor& now, const at::Tensor& before);
  [[nodiscard]] bool has_roundings() const;
  void attach_roundings();
  void attach_roundings(const FusedGroup& group, std::size_t place);
  [[nodiscard]] std::string full_name(std::string_view linear) const;
  void add_event(const SolverEvent& event);

  const DriverRun& run_;
  std::shared_ptr<const Block> original_;  // null when nobody needs it, so that solved weights take its weights' place
  Block block_;                            // under work; tensors are replaced, never written into
  std::optional<Block> transformed_;       // as the block steps left it: the float stream's reference for the solvers
  std::optional<BlockPass> solved_pass_;   // of the quantized stream, when it went along with the work
  std::optional<BlockPass> float_pass_;    // of the float stream, likewise
  BlockArtifact artifact_;
  BlockReport report_;
};

}  // namespace lowbit
