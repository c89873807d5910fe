#include "quantization/solvers/leave_one_out.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "formats/grid_fit.h"

namespace lowbit {
namespace {

double cost_of(const GroupGrid& grid, const GroupFit& fit, float weight, float diagonal) {
  std::uint8_t code = 0;
  grid.encode({&weight, 1}, fit, &code);
  const double error = (static_cast<double>(weight) - grid.decode(code, fit)) / diagonal;
  return error * error;
}

// What the weights other than number `left_out` cost on the grid fitted to them.
double cost_without(const GroupGrid& grid, std::span<const float> weights, std::span<const float> diagonal,
                    std::size_t left_out) {
  std::vector<float> others(weights.begin(), weights.end());
  others.erase(others.begin() + static_cast<std::ptrdiff_t>(left_out));
  const GroupFit fit = grid.fit_min_max(others);
  double cost = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (i != left_out) cost += cost_of(grid, fit, weights[i], diagonal[i]);
  }
  return cost;
}

}  // namespace

int replace_likely_outliers(std::span<float> weights, std::span<const float> diagonal, const GridSpec& spec,
                            double threshold) {
  if (weights.size() < 2) return 0;
  const GroupGrid grid(spec);
  const GroupFit whole = grid.fit_min_max(weights);
  std::vector<double> own(weights.size());
  double cost = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) cost += own[i] = cost_of(grid, whole, weights[i], diagonal[i]);
  if (!(cost > threshold)) return 0;  // no gain can exceed the cost itself

  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  const auto lowest = static_cast<std::size_t>(low - weights.begin());
  const auto highest = static_cast<std::size_t>(high - weights.begin());
  std::vector<bool> outlier(weights.size());
  double sum = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    // The grid depends on the ends of the range alone: without another weight it stays as it is.
    const double gain = i == lowest || i == highest ? cost - cost_without(grid, weights, diagonal, i) : own[i];
    outlier[i] = gain > threshold;
    if (!outlier[i]) sum += weights[i];
    if (!outlier[i]) ++kept;
  }
  const float mean = kept > 0 ? static_cast<float>(sum / static_cast<double>(kept)) : 0.0F;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (outlier[i]) weights[i] = mean;
  }
  return static_cast<int>(weights.size() - kept);
}

}  // namespace lowbit
