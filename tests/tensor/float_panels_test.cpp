#include "tensor/float_panels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "lowbit/base/random.h"
#include "tensor/aligned_buffer.h"

namespace lowbit {
namespace {

class PanelKernels : public ::testing::TestWithParam<std::size_t> {};

AlignedBuffer normals(std::int64_t count, const char* name) {
  const Random random(17, name);
  AlignedBuffer values(count);
  for (std::int64_t i = 0; i < count; ++i) {
    values.data()[i] = static_cast<float>(random.normal(static_cast<std::uint64_t>(i)));
  }
  return values;
}

enum class Start { kZero, kRow, kResume };

// Every element of a tile against the definition: one chain of fused multiply-adds. The target is wider than the tile,
// and what lies beside it stays. Right panels stand one behind the other or, `woven`, one beside the other.
void expect_chains(const PanelKernel& kernel, std::int64_t row_panels, std::int64_t column_panels, std::int64_t depth,
                   Start start, bool woven) {
  const std::int64_t rows = row_panels * kPanelRows;
  const std::int64_t columns = column_panels * kPanelColumns;
  const std::int64_t stride = columns + 3;
  // Panels as they stand in a longer matrix.
  const std::int64_t left_stride = (depth + 2) * kPanelRows;
  const std::int64_t right_stride = woven ? kPanelColumns : (depth + 2) * kPanelColumns;
  const std::int64_t right_step = woven ? columns : kPanelColumns;
  const AlignedBuffer left = normals(row_panels * left_stride, "left");
  const AlignedBuffer right = normals(column_panels * (depth + 2) * kPanelColumns, "right");
  const AlignedBuffer row = normals(columns, "start");
  const AlignedBuffer before = normals(rows * stride, "target");
  const AlignedBuffer target = normals(rows * stride, "target");
  kernel.multiply({.left = left.data(),
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
      const float old = before.data()[r * stride + c];
      float expected = c >= columns || start == Start::kResume ? old : start == Start::kRow ? row.data()[c] : 0.0F;
      for (std::int64_t k = 0; c < columns && k < depth; ++k) {
        expected =
            std::fma(left.data()[r / kPanelRows * left_stride + k * kPanelRows + r % kPanelRows],
                     right.data()[c / kPanelColumns * right_stride + k * right_step + c % kPanelColumns], expected);
      }
      ASSERT_EQ(target.data()[r * stride + c], expected)
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
          for (const bool woven : {false, true}) expect_chains(kernel, rows, columns, depth, start, woven);
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
