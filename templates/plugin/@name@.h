#pragma once

#include <lowbit/config/fields.h>
#include <lowbit/quantization/solver.h>

/// What a recipe may say: [{@name@: {bits: 4, group: 64, rounds: 8}}]. The list of fields serves decoding, checks,
/// `lowbit describe` and the config that is kept with the results.
struct @Class@Options {
  int bits = 4;
  std::int64_t group = 64;
  int rounds = 8;
  void visit(lowbit::FieldVisitor& v) {
    v.field("bits", bits, "width of a code in bits", {2, 8});
    v.field("group", group, "input columns that share a scale; the last group of a row may be ragged", {1, 1 << 20});
    v.field("rounds", rounds, "times that the scales are fitted anew; 0 rounds to nearest", {0, 100});
  }
};

/// Rounds W to s (q - z) with the scale that fits best: min over s and q of |W - s (q - z)|^2 in every group, by turns.
/// For given codes the best scale is s = <W, q - z> / |q - z|^2 (the normal equation of a line through 0); for a given
/// scale the nearest codes are best. Neither turn can make the sum of squares larger but for the rounding of s to its
/// storage type, so the best scale so far is kept, row by row.
class @Class@ : public lowbit::WeightSolver {
 public:
  explicit @Class@(const @Class@Options& options) : options_(options) {}

  [[nodiscard]] lowbit::GridSpec grid() const override;
  [[nodiscard]] lowbit::QuantizedWeight solve(const lowbit::LinearProblem& problem) const override;
  /// Raise it when the same input gives other codes: results of the old version are then made anew.
  [[nodiscard]] int version() const override { return 1; }

 private:
  // `weight` float32 [out, columns of one group]
  [[nodiscard]] lowbit::GroupParameters fit(const at::Tensor& weight) const;
  @Class@Options options_;
};
