#pragma once

#include "lowbit/config/fields.h"
#include "lowbit/quantization/solver.h"
#include "quantization/solvers/rounding.h"

namespace lowbit {

struct RtnOptions {
  GridOptions grid;
  Clip clip = Clip::kNone;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const { grid.validate(problems, mark); }
};

/// Round to nearest: each weight by itself, without any data.
class RtnSolver : public WeightSolver {
 public:
  explicit RtnSolver(const RtnOptions& options) : options_(options) {}
  [[nodiscard]] GridSpec grid() const override { return options_.grid.spec(); }
  [[nodiscard]] QuantizedWeight solve(const LinearProblem& problem) const override;
  [[nodiscard]] bool solves_rows_alone() const override { return grid().fits_rows_alone(); }
  [[nodiscard]] at::Tensor approximate(const at::Tensor& weight) const override;
  [[nodiscard]] int version() const override { return 2; }

 private:
  RtnOptions options_;
};

}  // namespace lowbit
