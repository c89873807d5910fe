#include "tensor/float_panels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "tensor/normals.h"

namespace lowbit {
namespace {

using testing::normals;

class PanelKernels : public ::testing::TestWithParam<std::size_t> {};

void multiply(const PanelKernel& kernel, const PanelTile& tile) { kernel.multiply(tile); }
void multiply(const PanelKernel& kernel, const DoublePanelTile& tile) { kernel.multiply_doubles(tile); }

enum class Start { kZero, kRow, kResume };

// Every element of a tile against the definition: one chain of fused multiply-adds. The target is wider than the tile,
// and what lies beside it stays. Right panels stand one behind the other or, `woven`, one beside the other.
template <typename Number>
void expect_chains(const PanelKernel& kernel, std::int64_t row_panels, std::int64_t column_panels, std::int64_t depth,
                   Start start, bool woven) {
  constexpr std::int64_t kWidth = kPanelColumnsOf<Number>;
  const std::int64_t rows = row_panels * kPanelRows;
  const std::int64_t columns = column_panels * kWidth;
  const std::int64_t stride = columns + 3;
  // Panels as they stand in a longer matrix.
  const std::int64_t left_stride = (depth + 2) * kPanelRows;
  const std::int64_t right_stride = woven ? kWidth : (depth + 2) * kWidth;
  const std::int64_t right_step = woven ? columns : kWidth;
  const auto number = [](const auto& numbers, std::int64_t place) { return numbers[static_cast<std::size_t>(place)]; };
  const auto left = normals<Number>(row_panels * left_stride, "left");
  const auto right = normals<Number>(column_panels * (depth + 2) * kWidth, "right");
  const auto row = normals<Number>(columns, "start");
  const auto before = normals<Number>(rows * stride, "target");
  auto target = before;
  multiply(kernel, PanelTileOf<Number>{.left = left.data(),
                                       .right = right.data(),
                                       .depth = depth,
                                       .target = target.data(),
                                       .target_stride = stride,
                                       .start = start == Start::kRow ? row.data() : nullptr,
                                       .resume = start == Start::kResume,
                                       .row_panels = row_panels,
                                       .column_panels = column_panels,
                                       .left_stride = left_stride,
                                       .right_stride = right_stride,
                                       .right_step = right_step});
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < stride; ++c) {
      const Number old = number(before, r * stride + c);
      Number expected = c >= columns || start == Start::kResume ? old : start == Start::kRow ? number(row, c) : 0;
      for (std::int64_t k = 0; c < columns && k < depth; ++k) {
        expected = std::fma(number(left, r / kPanelRows * left_stride + k * kPanelRows + r % kPanelRows),
                            number(right, c / kWidth * right_stride + k * right_step + c % kWidth), expected);
      }
      ASSERT_EQ(number(target, r * stride + c), expected)
          << row_panels << " by " << column_panels << " panels of " << depth << " at " << r << ", " << c;
    }
  }
}

TEST_P(PanelKernels, GiveOneChainOfFusedMultiplyAddsForEachElement) {
  if (GetParam() >= panel_kernels().size()) GTEST_SKIP() << "this build has no such kernel";
  const PanelKernel& kernel = panel_kernels()[GetParam()];
  if (!kernel.missing.empty()) GTEST_SKIP() << kernel.name << ": " << kernel.missing;
  for (std::int64_t rows = 1; rows <= kernel.row_panels; ++rows) {
    for (std::int64_t columns = 1; columns <= kernel.column_panels; ++columns) {
      for (const std::int64_t depth : {1, 2, 7, 384}) {
        for (const Start start : {Start::kZero, Start::kRow, Start::kResume}) {
          for (const bool woven : {false, true}) {
            expect_chains<float>(kernel, rows, columns, depth, start, woven);
            expect_chains<double>(kernel, rows, columns, depth, start, woven);
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(FromTheSlowest, PanelKernels, ::testing::Values(0, 1));

TEST(PanelKernels, EndWithTheOneThatIsUsed) {
  if (!float_panels_available()) GTEST_SKIP() << "the processor lacks AVX2";
  const PanelKernel* usable = nullptr;
  for (const PanelKernel& kernel : panel_kernels()) {
    EXPECT_LE(kernel.row_panels * kPanelRows, kMostTileRows);
    EXPECT_LE(kernel.column_panels * kPanelColumns, kMostTileColumns);
    if (kernel.missing.empty()) usable = &kernel;
  }
  EXPECT_EQ(&panel_kernel(), usable);
}

}  // namespace
}  // namespace lowbit
