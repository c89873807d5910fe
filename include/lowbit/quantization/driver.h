#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/progress.h"
#include "lowbit/calibration/calibration_set.h"
#include "lowbit/model/artifact.h"
#include "lowbit/model/model.h"
#include "lowbit/quantization/recipe.h"

namespace lowbit LOWBIT_EXPORT {

/// Where activations are kept between two uses. It changes time and memory, and no bit of the result.
struct DriverMemory {
  /// While a block's states of all sequences take no more than this, they are kept between its groups of linears;
  /// otherwise each is computed again from the block's start.
  std::int64_t held_bytes = std::int64_t{2} << 30;
  /// The streams lie in a file of the output's folder instead of in memory.
  bool spill_streams = false;
};

struct QuantizeRequest {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Recipe> recipe;
  const CalibrationSet* calibration = nullptr;  ///< may be null when the recipe needs none
  std::uint64_t seed = 0;
  std::filesystem::path output;  ///< the artifact's folder
  DriverMemory memory = {};
  /// A folder in which recipes that share statistics (`shares_statistics`) find those of earlier ones and leave their
  /// own, about four bytes for each pair of a layer's input channels; empty: nothing is shared. No bit of the result
  /// depends on it.
  std::filesystem::path statistics = {};
};

/// Whether a recipe needs only what every recipe sees alike: statistics of the float model's activations, for weight
/// solvers alone, without error propagation (`{driver: {true_sequential: false, propagate_quantized: false}}`). Once
/// they have been collected, no token need pass the model.
[[nodiscard]] bool shares_statistics(const Recipe& recipe);

/// How far one solved layer is from the original.
struct LayerReport {
  std::string layer;
  std::string grid;
  double weight_error = 0;  ///< ||W - W^||_F / ||W||_F
  double output_error = 0;  ///< sqrt(tr(D H D^T) / tr(W H W^T)) on the stream the solver saw; -1 without a Hessian
  double nearest_output_error = -1;  ///< the same for the solver's `approximate`: what plain rounding would have cost
  double seconds = 0;
};

struct QuantizeReport {
  std::vector<LayerReport> layers;
  std::vector<SolverEvent> events;
  StoredSize size;
  double seconds = 0;
  std::int64_t resumed_blocks = 0;
};

/// Quantizes a model block by block into an artifact folder. Knows no algorithm by name. Per block: the steps'
/// statistics are collected, the steps applied, the linears solved (group by group when true-sequential), the solved
/// block run once more for the quantized stream, the shard written. A run that was killed continues at the next block
/// and ends with the same bits. Throws what steps, readers and the disk throw; `kInterrupted` when cancelled.
[[nodiscard]] QuantizeReport quantize(const QuantizeRequest& request, Progress& progress,
                                      const Cancellation& cancellation);

}  // namespace LOWBIT_EXPORT
