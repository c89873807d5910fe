#include "quantization/solvers/column_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "formats/grid_fit.h"
#include "lowbit/formats/codebooks.h"
#include "quantization/solvers/device_outliers.h"
#include "quantization/solvers/layers.h"

namespace lowbit {
namespace {

using testing::normal_matrix;

std::vector<GridSpec> all_grids() {
  std::vector<GridSpec> grids;
  for (const int bits : {2, 3, 4, 8}) {
    for (const GridKind kind : {GridKind::kInteger, GridKind::kOffset}) {
      grids.emplace_back();
      grids.back().kind = kind;
      grids.back().bits = bits;
    }
  }
  for (const std::string& name : codebook_names()) {
    grids.emplace_back();
    grids.back().kind = GridKind::kCodebook;
    grids.back().codebook = name;
    grids.back().bits = find_codebook(name).bits;
  }
  return grids;
}

// Numbers on the grid, half way between two of them, a little beside that, and far outside, on scales of many sizes.
struct Column {
  std::vector<float> weights, scales, zeros;

  explicit Column(const GridSpec& grid) {
    const float top = static_cast<float>((1 << grid.bits) - 1);
    std::vector<float> places;
    for (int i = 0; i < 4 * (1 << grid.bits); ++i) places.push_back(static_cast<float>(i) / 2 - 2 * top / 3);
    if (grid.kind == GridKind::kCodebook) {
      const Codebook& codebook = find_codebook(grid.codebook);
      for (std::size_t i = 1; i < codebook.ascending.size(); ++i) {
        const float low = codebook.table[codebook.ascending[i - 1]];
        const float high = codebook.table[codebook.ascending[i]];
        const float middle = low / 2 + high / 2;
        const float infinity = std::numeric_limits<float>::infinity();
        for (const float x : {low, middle, std::nextafter(middle, infinity), std::nextafter(middle, -infinity), high})
          places.push_back(x);
      }
    }
    for (const float x : {0.0F, -0.0F, 1e30F, -1e30F, 1e-30F, 2000.25F}) places.push_back(x);
    for (const float scale : {1.0F, 0.25F, 0.0371F, 1e-6F}) {
      for (std::size_t i = 0; i < places.size(); ++i) {
        scales.push_back(scale);
        zeros.push_back(grid.kind == GridKind::kOffset ? 1.37F * static_cast<float>(i % 3) - 1.0F
                                                       : static_cast<float>(i % (1U << grid.bits)));
        weights.push_back(places[i] * scale);
      }
    }
  }
};

TEST(ColumnGrid, IsTheGridOfGroups) {
  for (const GridSpec& grid : all_grids()) {
    const GroupGrid groups(grid);
    const ColumnGrid columns(grid, at::kCPU);
    const Column column(grid);
    const auto tensor = [](const std::vector<float>& values) { return tensor_of(std::span<const float>(values)); };
    const at::Tensor codes = columns.encode(tensor(column.weights), tensor(column.scales), tensor(column.zeros));
    const at::Tensor values = columns.decode(codes, tensor(column.scales), tensor(column.zeros)).contiguous();
    const at::Tensor narrow = to_dtype(codes, DType::kUInt8).contiguous();
    for (std::size_t i = 0; i < column.weights.size(); ++i) {
      const GroupFit fit{column.scales[i], column.zeros[i]};
      std::uint8_t code = 0;
      groups.encode({&column.weights[i], 1}, fit, &code);
      ASSERT_EQ(values_of<std::uint8_t>(narrow)[i], code)
          << grid.text() << ": " << column.weights[i] << " / " << fit.scale;
      ASSERT_EQ(values_of<float>(values)[i], groups.decode(code, fit)) << grid.text() << ": " << column.weights[i];
    }
  }
}

// On the grid 0, 1, 2, 3 with U_jj = 2 a weight costs ((w - q) / 2)^2: more than 1 from 2 beyond its ends on.
TEST(DeviceOutliers, KeepWhatWouldCostMoreInFloat16) {
  GridSpec grid;
  grid.kind = GridKind::kOffset;
  grid.bits = 2;
  DeviceOutliers outliers(grid, make_full({3}, 2.0, DType::kFloat32), 1.0, 5, at::kCPU);
  DeviceColumn column{tensor_of(std::span<const float>(std::vector<float>{1.4F, 5.0F, 5.0011F, -2.3F, 1e6F})),
                      make_full({5}, 1.0, DType::kFloat32),
                      make_full({5}, 0.0, DType::kFloat32),
                      {},
                      {}};
  outliers.round(1, column);
  const std::vector<float> codes{1, 3, 0, 0, 0};
  const std::vector<float> values{1, 3, 5.0F, -2.30078125F, 65504};  // float16 has steps of 1/256 there
  const std::vector<float> kept{0, 0, 5.0F, -2.30078125F, 65504};
  EXPECT_TRUE(to_dtype(column.codes, DType::kFloat32).equal(tensor_of(std::span<const float>(codes))));
  EXPECT_TRUE(column.values.equal(tensor_of(std::span<const float>(values))));
  EXPECT_TRUE(outliers.kept().select(1, 1).equal(tensor_of(std::span<const float>(kept))));
  EXPECT_TRUE(
      outliers.mask().select(1, 1).equal(to_dtype(tensor_of(std::span<const float>(kept)).ne(0), DType::kUInt8)));
  EXPECT_EQ(outliers.mask().sum().item<std::int64_t>(), 3);  // and none of the other columns
}

}  // namespace
}  // namespace lowbit
