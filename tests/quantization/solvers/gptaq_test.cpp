#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "quantization/solvers/asymmetry.h"
#include "quantization/solvers/gptq.h"
#include "quantization/solvers/inverse_factor.h"
#include "quantization/solvers/layers.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::cross_statistics;
using testing::hessian_statistics;
using testing::normal_matrix;
using testing::solve;

GptqOptions options_of(int bits, std::int64_t group) {
  GptqOptions options;
  options.grid.bits = bits;
  options.grid.group = group;
  return options;
}

QuantizedWeight gptaq(const GptqOptions& options, double alpha, const at::Tensor& weight,
                      const Statistics& statistics) {
  return solve(GptqSolver(options, alpha), weight, &statistics).weight;
}

// Inputs of the float stream that a few directions tell apart from the quantized stream's.
at::Tensor float_inputs(const at::Tensor& inputs, const std::string& stream) {
  const std::int64_t channels = inputs.size(1);
  const at::Tensor mix = normal_matrix(channels, channels, stream + "/drift") * (0.3 / std::sqrt(channels));
  return (inputs + inputs.matmul(mix)).contiguous();
}

TEST(AsymmetryCorrection, SolvesForTheColumnsBehind) {
  const std::int64_t size = 150;  // more than two blocks of columns
  const at::Tensor x = to_dtype(correlated_inputs(400, size, "p"), DType::kFloat64);
  const at::Tensor hessian = x.t().matmul(x) + make_eye(size, DType::kFloat64) * x.square().mean() * 20.0;
  const at::Tensor cross = to_dtype(normal_matrix(size, size, "p/d"), DType::kFloat64);
  const at::Tensor p = asymmetry_correction(cross, inverse_factor(hessian).value(), 0.5);
  EXPECT_TRUE(p.equal(p.triu(1)));
  for (const std::int64_t row : {0, 1, 63, 64, 100, 148}) {
    const at::Tensor behind = hessian.slice(0, row + 1, size).slice(1, row + 1, size);
    const at::Tensor expected =
        cross.select(0, row).slice(0, row + 1, size).unsqueeze(0).matmul(behind.inverse()) * 0.5;
    const at::Tensor found = to_dtype(p.select(0, row).slice(0, row + 1, size), DType::kFloat64).unsqueeze(0);
    // Stored as float32: 2^-24 of the largest.
    EXPECT_TRUE(found.allclose(expected, 1e-6, expected.abs().max().item<double>() * 1e-6)) << row;
  }
}

TEST(GptaqSolver, IsGptqWhenBothStreamsAreTheSame) {
  const at::Tensor weight = normal_matrix(20, 60, "same");
  const at::Tensor inputs = correlated_inputs(200, 60, "same/x");
  for (const bool act_order : {false, true}) {
    GptqOptions options = options_of(3, 20);
    options.act_order = act_order;
    EXPECT_EQ(gptaq(options, 0.25, weight, cross_statistics(inputs, inputs)).content_hash(),
              gptaq(options, 0.0, weight, hessian_statistics(inputs)).content_hash());
  }
}

TEST(GptaqSolver, AsksForBothStreamsUnlessAlphaIsZero) {
  EXPECT_TRUE(GptqSolver(options_of(4, 32), 0.25).needs().cross);
  EXPECT_FALSE(GptqSolver(options_of(4, 32), 0.0).needs().cross);
}

// The authors' loops, column after column, in double.
std::vector<int> plain_codes(const at::Tensor& weight, const at::Tensor& upper, const at::Tensor& p,
                             const QuantizedWeight& grid, std::int64_t block) {
  const auto size = static_cast<std::size_t>(weight.size(1));
  const at::Tensor u64 = upper.contiguous(), p64 = to_dtype(p, DType::kFloat64);
  const auto u = values_of<double>(u64);
  const auto carry = values_of<double>(p64);
  std::vector<int> codes;
  for (std::int64_t row = 0; row < weight.size(0); ++row) {
    const auto source = values_of<float>(weight).subspan(static_cast<std::size_t>(row) * size, size);
    std::vector<double> w(source.begin(), source.end()), q(size), error(size);
    const double scale = values_of<float>(grid.scales)[static_cast<std::size_t>(row)];
    const double zero = values_of<float>(grid.zeros)[static_cast<std::size_t>(row)];
    for (std::size_t first = 0; first < size; first += static_cast<std::size_t>(block)) {
      const std::size_t last = std::min(size, first + static_cast<std::size_t>(block));
      for (std::size_t j = first; j < last; ++j) {
        const double code = std::clamp(std::nearbyint(w[j] / scale) + zero, 0.0, 7.0);
        codes.push_back(static_cast<int>(code));
        q[j] = scale * (code - zero);
        error[j] = (w[j] - q[j]) / u[j * size + j];
        for (std::size_t k = j + 1; k < last; ++k) w[k] += w[j] * carry[j * size + k] - error[j] * u[j * size + k];
      }
      for (std::size_t j = first; j < last; ++j) {
        for (std::size_t k = last; k < size; ++k) w[k] += q[j] * carry[j * size + k] - error[j] * u[j * size + k];
      }
    }
  }
  return codes;
}

TEST(GptaqSolver, FollowsTheAuthorsLoopsWhenReferenceCompatible) {
  const at::Tensor weight = normal_matrix(12, 48, "loops");
  const at::Tensor inputs = correlated_inputs(200, 48, "loops/x");
  const Statistics statistics = cross_statistics(inputs, float_inputs(inputs, "loops"));
  GptqOptions options = options_of(3, -1);
  options.grid.scale = ScaleType::kFloat32;
  options.ref_compat = true;
  options.block_size = 16;
  const QuantizedWeight solved = gptaq(options, 0.25, weight, statistics);

  const at::Tensor hessian = statistics.hessian();
  const at::Tensor damped = hessian + make_eye(48, DType::kFloat64) * (hessian.diagonal().mean() * options.damping);
  const at::Tensor upper = inverse_factor(damped).value();
  const at::Tensor p = asymmetry_correction(statistics.cross(), upper, 0.25);
  const std::vector<int> expected =
      plain_codes(weight, upper, p, quantize_to_nearest(weight, options.grid.spec()), options.block_size);
  int differing = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (values_of<std::uint8_t>(solved.codes)[i] != expected[i]) ++differing;
  }
  // Float32 against double: a weight within 1e-6 of a boundary may fall to the other side, and takes others with it.
  EXPECT_LE(differing, 4) << "of " << expected.size();
}

TEST(GptaqSolver, ComesNearerToTheFloatOutputThanGptq) {
  int better = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string stream = "nearer" + std::to_string(i);
    const at::Tensor weight = normal_matrix(16, 64, stream);
    const at::Tensor inputs = correlated_inputs(300, 64, stream + "/x");
    const at::Tensor reference = float_inputs(inputs, stream);
    const Statistics statistics = cross_statistics(inputs, reference);
    const auto loss = [&](double alpha) {
      const at::Tensor solved = gptaq(options_of(4, 32), alpha, weight, statistics).dequantize();
      return (inputs.matmul(solved.t()) - reference.matmul(weight.t())).square().sum().item<double>();
    };
    // The difference is not noise here, so that all of it is worth making good.
    if (loss(1.0) < loss(0.25) && loss(0.25) < loss(0.0)) ++better;
  }
  EXPECT_GE(better, 19);
}

TEST(GptaqSolver, NamesItselfWhenThereIsNoCalibration) {
  try {
    (void)solve(GptqSolver(options_of(4, 16), 0.25), normal_matrix(4, 32, "none"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "layer 'model.layers.0.mlp.up_proj': gptaq needs calibration inputs and got none");
  }
}

}  // namespace
}  // namespace lowbit
