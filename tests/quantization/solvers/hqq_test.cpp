#include "quantization/solvers/hqq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lowbit/base/error.h"
#include "quantization/solvers/half_quadratic.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rtn.h"

namespace lowbit {
namespace {

using testing::normal_matrix;
using testing::solve;

// Student-like: a normal number over the root of a mean square of three others.
at::Tensor heavy_tails(std::int64_t rows, std::int64_t columns, const std::string& stream) {
  at::Tensor squares = make_zeros({rows, columns}, DType::kFloat32);
  for (int i = 0; i < 3; ++i) squares = squares + normal_matrix(rows, columns, stream + std::to_string(i)).square();
  return (normal_matrix(rows, columns, stream) / (squares / 3.0).sqrt() * 0.02).contiguous();
}

double mean_error(const QuantizedWeight& solved, const at::Tensor& weight) {
  return (solved.dequantize() - weight).abs().mean().item<double>();
}

// The definition, in double.
HalfQuadraticStep plain_step(std::span<const float> weights, double scale, double zero, double top, double norm,
                             double beta) {
  HalfQuadraticStep result;
  for (const float w : weights) {
    const double code = std::clamp(std::nearbyint(w / scale + zero), 0.0, top);
    const double difference = w - (code - zero) * scale;
    const double size = std::abs(difference);
    const double shrunk = size == 0 ? 0 : std::max(size - std::pow(size, norm - 1) / beta, 0.0);
    result.error += size;
    result.zero += code - (w - std::copysign(shrunk, difference)) / scale;
  }
  result.zero /= static_cast<double>(weights.size());
  return result;
}

TEST(HalfQuadraticStep, EqualsItsDefinition) {
  for (const std::int64_t count : {1, 7, 8, 64, 5000}) {
    const at::Tensor weights = normal_matrix(1, count, "step");
    const auto values = values_of<float>(weights);
    // Steps of 0.4 and a beta of 3: some differences are shrunk to 0, others are not.
    const HalfQuadraticStep found = half_quadratic_step(values, 0.4F, 7.3F, 15.0F, 0.7F, 3.0F);
    const HalfQuadraticStep expected = plain_step(values, 0.4F, 7.3F, 15.0, 0.7F, 3.0);
    // Float32 sums of at most 512 terms a lane: 512 * 2^-24; powers err by 4e-6.
    EXPECT_NEAR(found.error, expected.error, 5e-5 * expected.error) << count;
    EXPECT_NEAR(found.zero, expected.zero, 5e-5 * 15) << count;
  }
}

TEST(HqqSolver, NeverEndsWorseThanItBegan) {
  const at::Tensor weight = heavy_tails(24, 200, "never worse");
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t group : {std::int64_t{16}, std::int64_t{64}, std::int64_t{-1}, std::int64_t{0}}) {
      HqqOptions options;
      options.bits = bits;
      options.group = group;
      const double after = mean_error(solve(HqqSolver(options), weight).weight, weight);
      options.iterations = 0;
      const double before = mean_error(solve(HqqSolver(options), weight).weight, weight);
      EXPECT_LE(after, before * (1 + 1e-5)) << bits << " bits, group " << group;
    }
  }
}

TEST(HqqSolver, GainsOnWeightsWithHeavyTails) {
  const at::Tensor weight = heavy_tails(64, 256, "gain");
  HqqOptions options;
  options.bits = 3;
  RtnOptions rtn;
  rtn.grid.bits = 3;
  rtn.grid.group = 64;
  const double hqq = mean_error(solve(HqqSolver(options), weight).weight, weight);
  EXPECT_LT(hqq, 0.97 * mean_error(solve(RtnSolver(rtn), weight).weight, weight));
}

TEST(HqqSolver, KeepsTheScaleOfTheRange) {
  const at::Tensor weight = heavy_tails(8, 64, "scale");
  HqqOptions options;
  const QuantizedWeight solved = solve(HqqSolver(options), weight).weight;
  EXPECT_TRUE(solved.scales.equal(quantize_to_nearest(weight, options.spec()).scales));
}

// The authors' default routine, written down from their description in double.
std::vector<double> reference_zeros(const at::Tensor& weight, const QuantizedWeight& start, int bits) {
  const std::int64_t groups = start.scales.size(1);
  const std::int64_t width = weight.size(1) / groups;
  std::vector<double> zeros;
  for (const float zero : values_of<float>(start.zeros)) zeros.push_back(bits == 4 ? std::nearbyint(zero) : zero);
  double best = INFINITY;
  double beta = 10;
  for (int i = 0; i < 20; ++i) {
    double error = 0;
    for (std::size_t g = 0; g < zeros.size(); ++g) {
      const auto part =
          values_of<float>(weight).subspan(g * static_cast<std::size_t>(width), static_cast<std::size_t>(width));
      const HalfQuadraticStep step =
          plain_step(part, values_of<float>(start.scales)[g], zeros[g], (1 << bits) - 1, 0.7, beta);
      error += step.error;
      zeros[g] = step.zero;
    }
    if (!(error < best)) break;
    best = error;
    beta *= 1.01;
  }
  return zeros;
}

TEST(HqqSolver, FollowsTheAuthorsRoutineWhenAsked) {
  const at::Tensor weight = heavy_tails(16, 128, "reference");
  for (const int bits : {3, 4}) {
    HqqOptions options;
    options.bits = bits;
    options.group = 32;
    options.scale = ScaleType::kFloat32;
    options.ref_compat = true;
    const QuantizedWeight solved = solve(HqqSolver(options), weight).weight;
    const std::vector<double> zeros = reference_zeros(weight, quantize_to_nearest(weight, options.spec()), bits);
    for (std::size_t g = 0; g < zeros.size(); ++g) {
      // A weight at a boundary may round the other way, which moves the mean by a 32nd of a step.
      EXPECT_NEAR(values_of<float>(solved.zeros)[g], zeros[g], 2.0 / 32) << bits << " bits, group " << g;
    }
  }
}

TEST(HqqSolver, HoldsZerosAndConstants) {
  EXPECT_EQ(solve(HqqSolver({}), make_zeros({3, 64}, DType::kFloat32)).events.at(0).what, "all-zero groups");
  const at::Tensor zeros = solve(HqqSolver({}), make_zeros({3, 64}, DType::kFloat32)).weight.dequantize();
  EXPECT_EQ(zeros.abs().max().item<float>(), 0.0F);
  const at::Tensor constant = make_full({3, 64}, 0.25, DType::kFloat32);
  EXPECT_TRUE(solve(HqqSolver({}), constant).weight.dequantize().allclose(constant, 1e-3, 0));
}

}  // namespace
}  // namespace lowbit
