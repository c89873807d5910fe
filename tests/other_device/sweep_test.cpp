// Columns swept, and errors measured, on a device that is not the CPU.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "formats/grid_fit.h"
#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"
#include "other_device/device_under_test.h"
#include "other_device/emulated_kernels.h"
#include "quantization/driver/layer_error.h"
#include "quantization/solvers/asymmetry.h"
#include "quantization/solvers/column_sweep.h"
#include "quantization/solvers/device_sweep.h"
#include "quantization/solvers/gptq.h"
#include "quantization/solvers/inverse_factor.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rounding.h"
#include "quantization/solvers/sweep_parts.h"
#include "tensor/float_panels.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::cross_statistics;
using testing::device_under_test;
using testing::hessian_statistics;
using testing::normal_matrix;
using testing::row_losses;

// A layer whose numbers are whole multiples of 2^-11 below 2^13, with scales that are powers of two: float32 holds
// every product and every sum, so that their order changes nothing.
struct Case {
  const char* name;
  GridKind kind = GridKind::kInteger;
  const char* codebook = "";
  GroupSource source = GroupSource::kFresh;
  ColumnOrder order = ColumnOrder::kNatural;
  bool static_groups = false;
  std::int64_t group = 32;
  std::int64_t block = 128;
  bool carried = false;
  bool carry_rounded = false;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

constexpr std::int64_t kRows = 41;
constexpr std::int64_t kColumns = 203;
constexpr const char* kRounding = "aten::round.out";

// Upper triangular, one of `every` numbers above the diagonal 1 or -1.
at::Tensor sparse_triangle(std::int64_t every, const std::string& stream) {
  const at::Tensor draws = normal_matrix(kColumns, kColumns, stream);
  const at::Tensor chosen = normal_matrix(kColumns, kColumns, stream + "/chosen").mul(1000).round().remainder(every);
  return draws.sign().masked_fill(chosen.ne(0), 0).triu(1);
}

// A power of two that covers the part, and a zero of quarters by the row.
GroupParameters fit_exactly(const at::Tensor& part, std::int64_t first_row, const GridSpec& grid) {
  const bool real_zero = grid.kind == GridKind::kOffset;
  GroupParameters found{part.abs().amax(1).div(4).clamp_min(0.25).log2().ceil().exp2().contiguous(), {}, {}, {}};
  if (grid.kind == GridKind::kCodebook) return found;
  const at::Tensor step = make_arange(part.size(0), DType::kFloat32).add(first_row).remainder(3);
  found.zeros = step.mul(real_zero ? 0.25 : 1.0).add(1 << (grid.bits - 1)).contiguous();
  return found;
}

class SweepOnOtherDevice : public ::testing::TestWithParam<Case> {};

TEST_P(SweepOnOtherDevice, HasTheCpusBitsWhereNothingIsRoundedButWeights) {
  const Case& c = GetParam();
  const at::Tensor diagonal = to_dtype(normal_matrix(1, kColumns, "diagonal").flatten().abs(), DType::kFloat64);
  const ColumnPlan plan = plan_columns(diagonal, c.group, c.order, c.static_groups);
  SweepRequest request;
  request.weight = normal_matrix(kRows, kColumns, "weight").mul(64).round().div(64).contiguous();
  const at::Tensor powers = make_arange(kColumns, DType::kFloat32).remainder(3).sub(1).exp2();
  request.upper = sparse_triangle(9, "upper").add(make_eye(kColumns, DType::kFloat32)).mul(powers.unsqueeze(1));
  if (c.carried) request.carried = sparse_triangle(61, "carried").contiguous();
  request.carry_rounded = c.carry_rounded;
  request.plan = &plan;
  request.grid.kind = c.kind;
  request.grid.codebook = c.codebook;
  request.grid.group = c.group;
  if (c.kind == GridKind::kCodebook) request.grid.bits = find_codebook(c.codebook).bits;
  request.source = c.source;
  request.block = c.block;
  request.fit = [&](const at::Tensor& part, const SweepPlace& place) {
    return fit_exactly(part, place.first_row, request.grid);
  };
  if (c.source == GroupSource::kGiven) {
    request.given.scales = make_full({kRows, plan.groups}, 0.5, DType::kFloat32);
    request.given.zeros = make_full({kRows, plan.groups}, 7, DType::kFloat32);
  }
  const SweepResult here = sweep_columns(request);
  EXPECT_LT(here.loss.max().item<double>(), 1e6) << "numbers that float32 may not hold";
  request.device = device_under_test();
  const auto compare = [&] {
    const SweepResult there = sweep_columns(request);
    EXPECT_TRUE(there.codes.equal(here.codes)) << there.codes.ne(here.codes).sum().item<std::int64_t>();
    EXPECT_TRUE(there.scales.equal(here.scales));
    ASSERT_EQ(there.zeros.defined(), here.zeros.defined());
    EXPECT_TRUE(!here.zeros.defined() || there.zeros.equal(here.zeros));
    EXPECT_TRUE(there.loss.equal(here.loss));
  };
  request.allow_kernel = false;
  EXPECT_FALSE(kernel_takes(request));
  compare();
  request.allow_kernel = true;
  request.fits_extremes = true;
  const testing::EmulatedKernels kernels;
  const int rounded = testing::calls_of(kRounding);
  EXPECT_EQ(kernel_takes(request), c.kind != GridKind::kCodebook);
  compare();
  if (!kernel_takes(request) || device_under_test() != testing::stand_in()) return;
  EXPECT_GE(rounded, kColumns);
  EXPECT_EQ(testing::calls_of(kRounding), rounded + chunk_end(request, 0)) << "of the first chunk, for the check";
}

INSTANTIATE_TEST_SUITE_P(
    Requests, SweepOnOtherDevice,
    ::testing::Values(Case{.name = "fresh"}, Case{.name = "groups_across_blocks", .group = 48, .block = 64},
                      Case{.name = "groups_of_many_blocks", .group = 96, .block = 32},
                      Case{.name = "one_group", .group = -1, .block = 50},
                      Case{.name = "one_block", .group = -1, .block = 1000},
                      Case{.name = "given", .source = GroupSource::kGiven, .block = 7},
                      Case{.name = "static_groups",
                           .source = GroupSource::kGiven,
                           .order = ColumnOrder::kByDiagonal,
                           .static_groups = true},
                      Case{.name = "as_of_the_block", .source = GroupSource::kBlock, .group = 24, .block = 64},
                      Case{.name = "act_order", .order = ColumnOrder::kByDiagonal},
                      Case{.name = "order_in_groups", .order = ColumnOrder::kInGroups, .group = 17},
                      Case{.name = "offset", .kind = GridKind::kOffset},
                      Case{.name = "e2m1", .kind = GridKind::kCodebook, .codebook = "e2m1"},
                      Case{.name = "e4m3", .kind = GridKind::kCodebook, .codebook = "e4m3"},
                      Case{.name = "carried", .carried = true},
                      Case{.name = "carried_rounded",
                           .source = GroupSource::kBlock,
                           .block = 64,
                           .carried = true,
                           .carry_rounded = true}),
    [](const auto& request) { return std::string(request.param.name); });

QuantizedWeight solve_there(const GptqOptions& options, double alpha, const at::Tensor& weight,
                            const Statistics& statistics) {
  LinearProblem problem;
  problem.layer = "layer";
  problem.weight = weight.clone();
  problem.statistics = &statistics;
  problem.device = device_under_test();
  return GptqSolver(options, alpha).solve(problem);
}

// Within a block the kernel does the CPU's operations one by one; behind it LibTorch's products would come.
TEST(ColumnKernelOnOtherDevice, HasTheCpusBitsOfABlock) {
  if (!float_panels_available()) GTEST_SKIP() << "this processor has no fused multiply-adds";
  const testing::EmulatedKernels kernels;
  for (const std::int64_t columns : {100, 128}) {
    const at::Tensor hessian = hessian_statistics(correlated_inputs(300, columns, "inputs")).hessian();
    for (const auto& [kind, group] :
         {std::pair{GridKind::kInteger, 32}, {GridKind::kOffset, 32}, {GridKind::kInteger, -1}}) {
      const ColumnPlan plan = plan_columns(hessian.diagonal().contiguous(), group, ColumnOrder::kByDiagonal, true);
      SweepRequest request;
      request.weight = normal_matrix(70, columns, "weight");
      request.upper = to_dtype(inverse_factor(in_order(hessian, plan)).value(), DType::kFloat32);
      request.plan = &plan;
      request.grid.kind = kind;
      request.grid.bits = 3;
      request.grid.group = group;
      request.source = group > 0 ? GroupSource::kGiven : GroupSource::kFresh;
      const QuantizedWeight rounded = round_to_nearest(request.weight, request.grid, Clip::kNone);
      request.given = {rounded.scales, rounded.zeros, {}, {}};
      request.fit = [&](const at::Tensor& part, const SweepPlace&) {
        return fit_group(part, request.grid, Clip::kNone);
      };
      request.fits_extremes = fits_extremes(request.grid, Clip::kNone);
      const SweepResult here = sweep_columns(request);
      request.device = device_under_test();
      ASSERT_TRUE(kernel_takes(request));
      const SweepResult there = sweep_columns(request);
      EXPECT_TRUE(there.codes.equal(here.codes));
      EXPECT_TRUE(there.scales.equal(here.scales));
      EXPECT_TRUE(there.loss.allclose(here.loss, 1e-14, 0)) << "sums of 128 float64 numbers in another order";
    }
  }
}

TEST(ColumnKernelOnOtherDevice, IsHeldAgainstLibTorch) {
  EXPECT_NO_THROW(check_kernel(2.0, 2.01, 100.0));
  EXPECT_NO_THROW(check_kernel(0.0, 1e-8, 100.0)) << "weights on their grid leave rounding alone";
  EXPECT_NO_THROW(check_kernel(0.0, 0.0, 0.0));
  EXPECT_THROW(check_kernel(2.0, std::nan(""), 100.0), Error);
  std::string found;
  try {
    check_kernel(2.0, 3.5, 100.0);
  } catch (const Error& error) {
    found = error.what();
  }
  EXPECT_EQ(found,
            "the GPU's kernel for columns leaves a squared error of 3.5 in the first ones, and LibTorch's operations 2; "
            "quantize on the CPU (device: cpu), and report this GPU");
}

TEST(ColumnKernelOnOtherDevice, SaysThatItCannotBeLoaded) {
  if (device_under_test() != testing::stand_in()) GTEST_SKIP() << "a GPU has its kernels";
  ::setenv("LOWBIT_CUDA_KERNELS", "/nowhere/liblowbit_cuda.so", 1);
  std::string found;
  try {
    (void)solve_there({}, 0, normal_matrix(2, 8, "weight"), hessian_statistics(normal_matrix(20, 8, "inputs")));
  } catch (const Error& error) {
    found = error.what();
  }
  ::unsetenv("LOWBIT_CUDA_KERNELS");
  EXPECT_THAT(found, ::testing::StartsWith("device 'cuda' was asked for, and lowbit's CUDA kernels cannot be loaded "
                                           "(/nowhere/liblowbit_cuda.so: cannot open shared object file"));
}

// How far, in steps, a weight is at most from where its code would be the nearest one, when its column is reached in
// float64.
double furthest_from_nearest(const at::Tensor& weight, const QuantizedWeight& solved, const ColumnPlan& plan,
                             const at::Tensor& upper) {
  at::Tensor left = to_dtype(columns_in_order(weight, plan), DType::kFloat64).clone();
  const at::Tensor values = to_dtype(columns_in_order(solved.dequantize(), plan), DType::kFloat64);
  const at::Tensor codes = columns_in_order(solved.codes, plan);
  double furthest = 0;
  for (std::int64_t j = 0; j < weight.size(1); ++j) {
    const std::int32_t group = plan.group[static_cast<std::size_t>(j)];
    const at::Tensor scales = to_dtype(solved.scales.select(1, group), DType::kFloat64);
    const at::Tensor wanted = left.select(1, j).div(scales).add(solved.zeros.select(1, group));
    const at::Tensor distance = wanted.clamp(0, (1 << solved.grid.bits) - 1).sub(codes.select(1, j)).abs().sub(0.5);
    furthest = std::max(furthest, distance.max().item<double>());
    const at::Tensor error = left.select(1, j).sub(values.select(1, j)).div(upper.select(0, j).select(0, j));
    left.sub_(error.unsqueeze(1).mul(upper.select(0, j)));
  }
  return furthest;
}

// Weights of some ten steps of 2^-24 each, changed 190 times: below 1e-4 of a step of the truth. A weight so near to
// the middle of two numbers may go to either.
void expect_nearest_codes() {
  const at::Tensor weight = normal_matrix(48, 190, "weight");
  const Statistics statistics = hessian_statistics(correlated_inputs(500, 190, "inputs"));
  for (const bool act_order : {false, true}) {
    GptqOptions options;
    options.grid.bits = 3;
    options.grid.group = 32;
    options.act_order = act_order;
    const QuantizedWeight solved = solve_there(options, 0, weight, statistics);
    at::Tensor hessian = statistics.hessian();
    const ColumnPlan plan =
        plan_columns(hessian.diagonal().contiguous(), options.grid.group,
                     act_order ? ColumnOrder::kByDiagonal : ColumnOrder::kNatural, options.static_groups);
    hessian = in_order(hessian.add(make_eye(190, DType::kFloat64) * hessian.diagonal().mean() * options.damping), plan);
    const at::Tensor upper = inverse_factor(hessian).value();
    EXPECT_LE(furthest_from_nearest(weight, solved, plan, upper), 1e-4) << act_order;
    const QuantizedWeight here = testing::solve(GptqSolver(options), weight, &statistics).weight;
    EXPECT_LE(here.codes.ne(solved.codes).sum().item<std::int64_t>(), 90) << act_order;  // of 9,120
  }
}

TEST(GptqOnOtherDevice, TakesTheNearestCodesOfTheWeightsThatItIsLeftWith) { expect_nearest_codes(); }

TEST(GptqOnOtherDevice, TakesThemByItsKernelToo) {
  const testing::EmulatedKernels kernels;
  expect_nearest_codes();
}

// GPTQ: sums, the Hessian read from its end, its factor, and that read from its end, which U replaces. GPTAQ with an
// order of columns: both sums, U, and asymmetry as it lies, by rows and by columns in order. Slices that are looked at
// by themselves are half of one here.
TEST(GptqOnOtherDevice, HoldsFewMatricesOfItsHessiansSize) {
  if (device_under_test() != testing::stand_in()) GTEST_SKIP() << "only the stand-in knows what is held at most";
  constexpr std::int64_t kSize = 1024;
  const at::Tensor weight = normal_matrix(4, kSize, "weight");
  const at::Tensor inputs = normal_matrix(40, kSize, "inputs").to(device_under_test());
  for (const bool asymmetric : {false, true}) {
    const double alpha = asymmetric ? 0.25 : 0;
    GptqOptions options;
    options.act_order = asymmetric;
    const testing::PeakBytes peak;
    Statistics statistics(kSize, GptqSolver(options, alpha).needs());
    statistics.add(inputs, asymmetric ? inputs.mul(0.9) : at::Tensor());
    (void)solve_there(options, alpha, weight, statistics);
    const double matrices = static_cast<double>(peak.most()) / (kSize * kSize * sizeof(double));
    EXPECT_LE(matrices, asymmetric ? 6.6 : 4.6);
  }
}

// Products of 140 float64 numbers, rounded to float32.
TEST(AsymmetryOnOtherDevice, IsTheCpus) {
  const at::Tensor inputs = correlated_inputs(400, 140, "inputs");
  const Statistics statistics = cross_statistics(inputs, inputs + normal_matrix(400, 140, "other") * 0.1);
  const at::Tensor upper = inverse_factor(statistics.hessian()).value();
  const at::Tensor here = asymmetry_correction(statistics.cross(), upper, 0.5);
  const at::Tensor there =
      asymmetry_correction(statistics.cross(device_under_test()), upper.to(device_under_test()), 0.5);
  EXPECT_EQ(there.device(), device_under_test());
  EXPECT_TRUE(there.cpu().allclose(here, 1e-6, here.abs().max().item<double>() * 1e-7));
}

// Three slices of the Hessian's rows. 2,100 products of float32 numbers of either sign a sum, of which the whole adds
// up 18,900: relative rounding stays below 1e-5.
TEST(OutputNormsOnOtherDevice, EqualTheirDefinition) {
  constexpr std::int64_t kSize = 2100;
  const Statistics statistics = hessian_statistics(normal_matrix(300, kSize, "inputs"));
  const at::Tensor matrices[] = {normal_matrix(9, kSize, "weight"), normal_matrix(9, kSize, "change") * 0.01};
  const std::vector<double> norms = output_norms(matrices, statistics, device_under_test());
  ASSERT_EQ(norms.size(), 2U);
  for (std::size_t i = 0; i < norms.size(); ++i) {
    const double expected = std::sqrt(row_losses(matrices[i], statistics.hessian()).sum().item<double>());
    EXPECT_NEAR(norms[i] / expected, 1, 1e-5) << i;
  }
}

}  // namespace
}  // namespace lowbit
