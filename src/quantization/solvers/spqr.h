#pragma once

#include <cstdint>

#include "lowbit/config/fields.h"
#include "lowbit/quantization/solver.h"

namespace lowbit {

struct SpqrOptions {
  int bits = 3;
  std::int64_t group = 16;
  ScaleType scale = ScaleType::kFloat16;
  int nested_bits = 3;
  std::int64_t nested_run = 16;
  double outlier_threshold = 0.2;
  bool act_order = true;
  double damping = 1.0;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
  [[nodiscard]] GridSpec spec() const;
};

/// SpQR (Dettmers et al., arXiv 2306.03078): GPTQ's sweep on small groups with real zeros, whose scales and zeros are
/// quantized again, and with the weights whose rounding would cost most kept in float16 beside the grid.
///
/// A weight w that rounds to q costs ((w - q) / U_jj)^2. It is an outlier when that exceeds `outlier_threshold` times
/// the mean over columns of var(W_j) / U_jj^2. Before a group's grid is fitted, weights without which the others would
/// fit better by more than that are replaced by the mean of the rest. Zeros are fitted to scales as stored.
class SpqrSolver : public WeightSolver {
 public:
  explicit SpqrSolver(const SpqrOptions& options) : options_(options) {}
  [[nodiscard]] StatisticsNeeds needs() const override;
  [[nodiscard]] GridSpec grid() const override { return options_.spec(); }
  [[nodiscard]] QuantizedWeight solve(const LinearProblem& problem) const override;
  [[nodiscard]] at::Tensor approximate(const at::Tensor& weight) const override;
  [[nodiscard]] int version() const override { return 2; }

 private:
  SpqrOptions options_;
};

}  // namespace lowbit
