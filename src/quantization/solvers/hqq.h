#pragma once

#include <cstdint>

#include "lowbit/config/fields.h"
#include "lowbit/quantization/solver.h"

namespace lowbit {

struct HqqOptions {
  int bits = 4;
  std::int64_t group = 64;
  ScaleType scale = ScaleType::kFloat16;
  double norm = 0.7;
  double beta = 10.0;
  double kappa = 1.01;
  int iterations = 20;
  bool ref_compat = false;
  void visit(FieldVisitor& v);
  [[nodiscard]] GridSpec spec() const;
};

/// HQQ (Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023), without data: the real
/// zero of each group that minimises |W - W^|^norm, norm below 1, by half-quadratic splitting. The scale stays that of
/// the group's range.
///
/// Each group keeps the best zero it has seen under the mean |W - W^| and stops when a step brings no gain, so that it
/// never ends worse than it began. `ref_compat` follows the authors' default routine: one stopping rule for the whole
/// matrix, the last zero kept, and a whole zero to begin with at 4 bits.
class HqqSolver : public WeightSolver {
 public:
  explicit HqqSolver(const HqqOptions& options) : options_(options) {}
  [[nodiscard]] GridSpec grid() const override { return options_.spec(); }
  [[nodiscard]] QuantizedWeight solve(const LinearProblem& problem) const override;
  [[nodiscard]] at::Tensor approximate(const at::Tensor& weight) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  [[nodiscard]] QuantizedWeight quantize(const at::Tensor& weight) const;

  HqqOptions options_;
};

}  // namespace lowbit
