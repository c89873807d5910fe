#include "simd_model.h"

#include <gtest/gtest.h>

#include "kernel_cases.h"
#include "kernels/backend.h"
#include "kernels/bfloat_panels.h"
#include "kernels/layout.h"
#include "kernels/matrix_bfloats.h"
#include "kernels/matrix_tiles.h"
#include "kernels/wide.h"

namespace lowbit::kernels {
namespace {

using testing::ModelSimd;
using testing::ModelUnit;
using testing::WeightCase;

const Kernel* select_modelled(Arithmetic arithmetic, int, std::int64_t tokens) {
  using Kernels = Wide<ModelSimd>;
  static constexpr Kernel kDirectBytes = {"model", Form::kBytes, 4, Kernels::direct<1, Ends::kGroup>};
  static constexpr Kernel kDirectPlanes = {"model", Form::kTwoPlanes, 4, Kernels::direct<2, Ends::kRun>};
  static constexpr Kernel kBytes = {"model", Form::kBytes, Kernels::kTile<1>, Kernels::panels<1>};
  static constexpr Kernel kPlanes = {"model", Form::kTwoPlanes, Kernels::kTile<2>, Kernels::panels<2>};
  static constexpr Kernel kFloats = {"model", Form::kFloats, Kernels::kTile<1>, Kernels::float_panels};
  static constexpr Kernel kDirectTwoLevel = {"model", Form::kBytes, 4, Kernels::direct<1, Ends::kRow>};
  static constexpr Kernel kTwoLevel = {"model", Form::kBytes, TwoLevelPanels<ModelSimd>::kTile,
                                       TwoLevelPanels<ModelSimd>::panels};
  static constexpr Kernel kBFloats = {"model", Form::kFloats, BFloatPanels<ModelSimd>::kTile,
                                      BFloatPanels<ModelSimd>::panels};
  const bool direct = tokens <= Kernels::kDirectTokens;
  switch (arithmetic) {
    case Arithmetic::kInt8: return direct ? &kDirectBytes : &kBytes;
    case Arithmetic::kInt16: return direct ? &kDirectPlanes : &kPlanes;
    case Arithmetic::kInt8TwoLevel: return direct ? &kDirectTwoLevel : &kTwoLevel;
    case Arithmetic::kBFloat16: return &kBFloats;
    case Arithmetic::kFloat32: break;
  }
  return &kFloats;
}

const Kernel* select_modelled_tiles(Arithmetic arithmetic, int bits, std::int64_t tokens) {
  static constexpr Kernel kTiles = {"model", Form::kBytes, 1, MatrixTiles<ModelSimd, ModelUnit>::run};
  static constexpr Kernel kTwoLevel = {"model", Form::kBytes, 1, MatrixTiles<ModelSimd, ModelUnit>::run_two_level};
  static constexpr Kernel kBFloats = {"model", Form::kBFloats, 1, MatrixBFloats<ModelSimd, ModelUnit>::run};
  if (arithmetic == Arithmetic::kInt8TwoLevel) return &kTwoLevel;
  if (arithmetic == Arithmetic::kBFloat16) return &kBFloats;
  return arithmetic == Arithmetic::kInt8 ? &kTiles : select_modelled(arithmetic, bits, tokens);
}

// Against the reference, whose bits product_test.cpp holds to the definition.
void expect_reference(const Backend& backend, const WeightCase& c, std::int64_t tokens) {
  const PackedWeight weight = PackedWeight::pack(testing::make_weight(c).view());
  const std::vector<float> input = testing::make_input(tokens, c.columns);
  for (const Arithmetic arithmetic : testing::kArithmetics) {
    if (!testing::legal(c, arithmetic)) continue;
    const testing::Bits expected = testing::run_product(weight, arithmetic, input, "reference");
    testing::Bits result{std::vector<float>(expected.values.size(), std::nanf(""))};
    std::vector<std::byte> space(static_cast<std::size_t>(tokens * weight.layout().padded_columns()) * 32 + 4096);
    multiply_on(backend, {weight,
                          arithmetic,
                          {input.data(), tokens, c.columns, c.columns},
                          {result.values.data(), tokens, c.rows, c.rows},
                          {},
                          space,
                          {},
                          {}});
    EXPECT_TRUE(result == expected) << backend.name << ", " << arithmetic_name(arithmetic) << ", " << tokens
                                    << " tokens, " << c;
  }
}

class Modelled : public ::testing::TestWithParam<bool> {
 protected:
  static Backend backend() {
    return GetParam() ? Backend{"matrix tiles", nullptr, select_modelled_tiles}
                      : Backend{"wide vectors", nullptr, select_modelled};
  }
};

TEST_P(Modelled, GivesTheReferencesBitsForAnyShape) {
  EXPECT_EQ(self_check(backend()), "");
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t tokens : {1, 2, 3, 4, 5, 13, 16, 17, 33, 97}) {
      expect_reference(backend(), {37, 100, 32, bits}, tokens);
    }
    for (const std::int64_t columns : {1, 31, 33, 300, 576}) {
      for (const std::int64_t group : {32, 96, 576}) expect_reference(backend(), {65, columns, group, bits}, 7);
    }
  }
}

TEST_P(Modelled, GivesTheReferencesBitsForAnyDecoding) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const Decoding decoding : {Decoding::kWholeZero, Decoding::kRealZero, Decoding::kTable}) {
      for (const ScaleStorage storage : {ScaleStorage::kFloat32, ScaleStorage::kFloat16, ScaleStorage::kBFloat16}) {
        expect_reference(backend(), {20, 90, 64, bits, decoding, true, storage, true, 30}, 6);
      }
    }
  }
}

TEST_P(Modelled, GivesTheReferencesBitsForScalesOfTwoLevels) {
  constexpr auto kWhole = Decoding::kWholeZero;
  constexpr auto kTwoLevels = ScaleStorage::kUint8;
  for (const int bits : {2, 3, 4}) {
    for (const std::int64_t tokens : {1, 2, 3, 4, 5, 13, 16, 17, 33, 97}) {
      expect_reference(backend(), {37, 100, 32, bits, kWhole, false, kTwoLevels}, tokens);
    }
    for (const std::int64_t columns : {1, 31, 300, 1111}) {
      for (const std::int64_t group : {32, 96, 576}) {
        expect_reference(backend(), {65, columns, group, bits, kWhole, false, kTwoLevels, true, 20}, 9);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Modelled, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "MatrixTiles" : "WideVectors"; });

}  // namespace
}  // namespace lowbit::kernels
