#include "quantization/solvers/rounding.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/solvers/layers.h"

namespace lowbit {
namespace {

// Of either sign and of both, of one number and of zeros.
at::Tensor rows_of_all_sorts() {
  const at::Tensor rows = testing::normal_matrix(60, 37, "weight");
  return concatenate({rows, rows.abs().add(0.5), rows.abs().add(3).neg(), rows.mul(0).add(0.25), rows.mul(0)}, 0);
}

std::vector<GridSpec> all_grids() {
  std::vector<GridSpec> grids;
  for (const GridKind kind : {GridKind::kInteger, GridKind::kOffset}) {
    for (const Symmetry symmetry :
         {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymRestricted, Symmetry::kSymFullSigned}) {
      for (const ScaleType type : {ScaleType::kFloat16, ScaleType::kBFloat16, ScaleType::kFloat32}) {
        if (kind == GridKind::kOffset && symmetry != Symmetry::kAsymmetric) continue;
        grids.push_back({.kind = kind, .bits = 3, .symmetry = symmetry, .codebook = "", .scale_type = type});
      }
    }
  }
  for (const ScaleRule rule : {ScaleRule::kAbsmax, ScaleRule::kFloor, ScaleRule::kEven}) {
    grids.push_back({.kind = GridKind::kCodebook, .codebook = "e2m1", .scale_rule = rule});
  }
  return grids;
}

TEST(FitGroup, FindsTheSameForExtremesWhereItSaysSo) {
  const at::Tensor rows = rows_of_all_sorts();
  const at::Tensor extremes = stack_tensors({rows.amin(1), rows.amax(1)}, 1);
  for (const GridSpec& grid : all_grids()) {
    ASSERT_TRUE(fits_extremes(grid, Clip::kNone)) << grid.text();
    const GroupParameters whole = fit_group(rows, grid, Clip::kNone);
    const GroupParameters part = fit_group(extremes, grid, Clip::kNone);
    EXPECT_TRUE(part.scales.equal(whole.scales)) << grid.text();
    ASSERT_EQ(part.zeros.defined(), whole.zeros.defined()) << grid.text();
    EXPECT_TRUE(!whole.zeros.defined() || part.zeros.equal(whole.zeros)) << grid.text();
  }
}

TEST(FitGroup, SaysWhereItNeedsAllWeights) {
  const at::Tensor rows = rows_of_all_sorts().narrow(0, 0, 60);
  const at::Tensor extremes = stack_tensors({rows.amin(1), rows.amax(1)}, 1);
  const GridSpec mean{.kind = GridKind::kCodebook, .codebook = "e2m1", .scale_rule = ScaleRule::kAbsmean};
  const GridSpec integers{.bits = 3, .codebook = ""};
  for (const auto& [grid, clip] : {std::pair{mean, Clip::kNone}, {integers, Clip::kMse}}) {
    EXPECT_FALSE(fits_extremes(grid, clip));
    EXPECT_FALSE(fit_group(rows, grid, clip).scales.equal(fit_group(extremes, grid, clip).scales));
  }
}

}  // namespace
}  // namespace lowbit
