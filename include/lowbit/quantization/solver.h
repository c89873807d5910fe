#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <string_view>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/random.h"
#include "lowbit/calibration/statistics.h"
#include "lowbit/formats/quantized_weight.h"

namespace lowbit LOWBIT_EXPORT {

class SharedTensors;

/// Numerical trouble that was met and how it was settled: goes into log, results and report.
struct SolverEvent {
  std::string layer;  ///< "model.layers.3.mlp.down_proj"
  std::string what;   ///< "damping raised", "dead columns"
  double value = 0;
};

/// One weight matrix to be put on a grid, with what calibration knows of its input.
struct LinearProblem {
  std::string layer;
  at::Tensor weight;                       ///< float32 [out, in], this solver's own copy
  const Statistics* statistics = nullptr;  ///< of its input; null when the solver needs none
  Random random{0, ""};
  const Cancellation* cancellation = nullptr;
  std::function<void(std::string_view what, double value)> report;
  at::Device device = at::kCPU;     ///< where large matrices are multiplied and factored; they lie in main memory
  SharedTensors* shared = nullptr;  ///< of the linears with these `statistics`; null when there is no other
};

/// Puts one weight matrix on a grid. The pure special case: no files, no threads, no other layer. Called for several
/// linears at once from several threads, so `solve` is const and keeps no state.
class WeightSolver {
 public:
  virtual ~WeightSolver() = default;
  [[nodiscard]] virtual StatisticsNeeds needs() const { return {}; }
  /// The grid it rounds to; transforms that anticipate the rounding (AWQ) ask for it.
  [[nodiscard]] virtual GridSpec grid() const = 0;
  /// Throws `kData` when the weight holds NaN or Inf, `kUnsupported` when the layer's shape cannot be done; both name
  /// it.
  [[nodiscard]] virtual QuantizedWeight solve(const LinearProblem& problem) const = 0;
  /// A quick stand-in for what `solve` will make of `weight`, dequantized, for searches: round to nearest on the grid.
  [[nodiscard]] virtual at::Tensor approximate(const at::Tensor& weight) const;
  /// Whether what becomes of a row depends on that row alone, so that some rows may be solved without the others. Such
  /// a solver needs no statistics, its grids nothing of the whole weight, and it leaves the problem's weight as it is.
  [[nodiscard]] virtual bool solves_rows_alone() const { return false; }
  /// Raised when the bits of its output change for the same input.
  [[nodiscard]] virtual int version() const = 0;
};

}  // namespace LOWBIT_EXPORT
