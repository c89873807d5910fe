// Against numbers made by compressed-tensors and by GPTQ's parameter rule: tests/golden/formats/grids.py.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/formats/packing.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/tensor/factory.h"
#include "support/source_folder.h"

namespace lowbit {
namespace {

class ReferenceGrids : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path path = testing::source_folder() / "tests/golden/formats/grids.json";
    golden_ = parse_json(read_file(path), path.string());
    rows_ = golden_["rows"];
    columns_ = golden_["columns"];
    const auto values = golden_["weight"].get<std::vector<float>>();
    weight_ = tensor_of(std::span<const float>(values)).view({rows_, columns_});
  }
  Json golden_;
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  at::Tensor weight_;
};

TEST_F(ReferenceGrids, EqualCompressedTensorsBitForBit) {
  for (const Json& c : golden_["compressed_tensors"]) {
    const int bits = c["bits"];
    const GridSpec grid{GridKind::kInteger,
                        bits,
                        c["symmetric"].get<bool>() ? Symmetry::kSymOffset : Symmetry::kAsymmetric,
                        "",
                        c["group"],
                        c["float16_scales"].get<bool>() ? ScaleType::kFloat16 : ScaleType::kFloat32};
    const QuantizedWeight quantized = quantize_to_nearest(weight_, grid);
    const at::Tensor dequantized = quantized.dequantize();
    const auto scales = values_of<float>(quantized.scales);
    const auto zeros = values_of<float>(quantized.zeros);
    const auto codes = values_of<std::uint8_t>(quantized.codes);
    const std::size_t groups = static_cast<std::size_t>(quantized.scales.size(1));
    std::size_t empty_groups = 0;
    for (std::size_t i = 0; i < scales.size(); ++i) {
      // A group of zeros gets another grid there (scale eps), and the same weights.
      if (c["scales"][i].get<float>() == 0x1p-23F) {
        ++empty_groups;
        continue;
      }
      EXPECT_EQ(scales[i], c["scales"][i].get<float>()) << grid.text() << " scale " << i;
      EXPECT_EQ(zeros[i], c["zeros"][i].get<float>()) << grid.text() << " zero " << i;
    }
    EXPECT_EQ(empty_groups, grid.group == 8 ? 1U : 0U);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      EXPECT_EQ(values_of<float>(dequantized)[i], c["dequantized"][i].get<float>()) << grid.text() << " weight " << i;
      const bool empty = groups > 1 && i / 24 == 5 && i % 24 < 8;
      if (!empty) {
        EXPECT_EQ(codes[i], c["codes"][i].get<int>()) << grid.text() << " code " << i;
      }
    }
  }
}

TEST_F(ReferenceGrids, PackAsCompressedTensorsDoes) {
  for (const Json& c : golden_["compressed_tensors"]) {
    const auto codes = c["codes"].get<Codes>();
    const auto zeros = c["zeros"].get<Codes>();
    const std::int64_t groups = static_cast<std::int64_t>(zeros.size()) / rows_;
    EXPECT_EQ(pack_rows(codes, rows_, columns_, c["bits"]), c["packed"].get<Words>());
    EXPECT_EQ(pack_columns(zeros, rows_, groups, c["bits"]), c["packed_zeros"].get<Words>());
  }
}

TEST_F(ReferenceGrids, EqualGptqsParameterSearch) {
  for (const Json& c : golden_["gptq"]) {
    const GridSpec grid{GridKind::kInteger,
                        c["bits"],
                        c["symmetric"].get<bool>() ? Symmetry::kSymOffset : Symmetry::kAsymmetric,
                        "",
                        -1,
                        ScaleType::kFloat32};
    const GroupParameters found = c["mse"].get<bool>() ? fit_clipped(weight_, grid, {}) : fit_min_max(weight_, grid);
    for (std::size_t i = 0; i < c["rows"].size(); ++i) {
      const auto row = c["rows"][i].get<std::size_t>();
      EXPECT_EQ(values_of<float>(found.scales)[row], c["scales"][i].get<float>()) << c.dump() << " row " << row;
      EXPECT_EQ(values_of<float>(found.zeros)[row], c["zeros"][i].get<float>()) << " row " << row;
    }
  }
}

}  // namespace
}  // namespace lowbit
