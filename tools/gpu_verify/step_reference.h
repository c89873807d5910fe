#pragma once

#include <vector>

#include "random_weights.h"
#include "step_model.h"

namespace lowbit::gpu_verify {

/// A decode step in float64, on the numbers that a `StepModel` holds.
class StepReference {
 public:
  /// Weights of each block in the order of `StepCase::products`.
  using Weights = std::array<const UnpackedWeight*, 7>;
  StepReference(const StepModel& model, std::vector<Weights> weights);
  /// What the head reads: [sequences][hidden].
  [[nodiscard]] std::vector<double> normalised() const;

 private:
  using Row = std::vector<double>;
  [[nodiscard]] Row norm(const Row& x, const std::vector<std::uint16_t>& weight) const;
  /// `x` is rounded to integers where the model rounds it.
  [[nodiscard]] Row multiply(std::size_t block, std::size_t product, Row x) const;
  void turn(Row& heads) const;
  [[nodiscard]] Row attend(std::size_t block, int sequence, const Row& queries, const Row& keys,
                           const Row& values) const;
  void read_block(std::size_t block, int sequence, Row& x) const;
  const StepModel& model_;
  std::vector<Weights> weights_;
};

}  // namespace lowbit::gpu_verify
