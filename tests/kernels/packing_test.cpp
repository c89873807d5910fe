#include <gtest/gtest.h>

#include "kernel_cases.h"
#include "support/error_text.h"

namespace lowbit::kernels {
namespace {

using lowbit::testing::error_text;
using testing::make_weight;
using testing::WeightCase;

void expect_same(const UnpackedWeight& a, const UnpackedWeight& b, const WeightCase& c) {
  EXPECT_EQ(a.codes, b.codes) << c;
  EXPECT_EQ(a.scales, b.scales) << c;
  EXPECT_EQ(a.zeros, b.zeros) << c;
  EXPECT_EQ(a.table, b.table) << c;
  EXPECT_EQ(a.group_index, b.group_index) << c;
  EXPECT_EQ(a.outlier_rows, b.outlier_rows) << c;
  EXPECT_EQ(a.outlier_columns, b.outlier_columns) << c;
  EXPECT_EQ(a.outlier_values, b.outlier_values) << c;
  EXPECT_EQ(a.shape.rows, b.shape.rows);
  EXPECT_EQ(a.shape.columns, b.shape.columns);
  EXPECT_EQ(a.shape.groups, b.shape.groups);
  EXPECT_EQ(a.shape.bits, b.shape.bits);
}

void expect_round_trip(const WeightCase& c) {
  const UnpackedWeight weight = make_weight(c);
  expect_same(PackedWeight::pack(weight.view()).unpack(), weight, c);
}

TEST(PackedWeight, UnpacksToExactlyWhatWasPacked) {
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    for (const std::int64_t columns : {1, 7, 31, 32, 33, 64, 129, 576}) {
      for (const std::int64_t rows : {1, 15, 16, 17, 40}) {
        for (const std::int64_t group : {16, 32, 64, 128, 4096}) expect_round_trip({rows, columns, group, bits});
      }
    }
  }
}

TEST(PackedWeight, KeepsEveryKindOfScaleAndZero) {
  for (const Decoding decoding : {Decoding::kWholeZero, Decoding::kRealZero, Decoding::kTable}) {
    for (const ScaleStorage storage : {ScaleStorage::kFloat32, ScaleStorage::kFloat16, ScaleStorage::kBFloat16}) {
      for (const bool symmetric : {false, true}) {
        expect_round_trip({20, 200, 64, 4, decoding, symmetric, storage});
        expect_round_trip({20, 200, 64, 8, decoding, symmetric, storage, true, 30});
      }
    }
  }
}

TEST(PackedWeight, KeepsScalesThatAreZeroOrBelowTheNormalNumbers) {
  for (const ScaleStorage storage : {ScaleStorage::kFloat32, ScaleStorage::kFloat16, ScaleStorage::kBFloat16}) {
    const WeightCase c{20, 200, 64, 4, Decoding::kWholeZero, false, storage};
    UnpackedWeight weight = make_weight(c);
    weight.scales[0] = 0.0F;
    weight.scales[1] = storage == ScaleStorage::kFloat16 ? 0x1p-24F : 0x1p-133F;
    expect_same(PackedWeight::pack(weight.view()).unpack(), weight, c);
  }
}

TEST(PackedWeight, KeepsScalesOfTwoLevels) {
  for (const int bits : {2, 3, 4}) {
    for (const bool symmetric : {false, true}) {
      const WeightCase c{40, 200, 64, bits, Decoding::kWholeZero, symmetric, ScaleStorage::kUint8, true, 30};
      UnpackedWeight weight = make_weight(c);
      expect_same(PackedWeight::pack(weight.view()).unpack(), weight, c);
      for (std::size_t g = 0; g < 4; ++g) weight.scales[g] = static_cast<float>(g) * 0x1p-149F;
      for (std::size_t g = 4; g < 8; ++g) weight.scales[g] = 0.0F;
      expect_same(PackedWeight::pack(weight.view()).unpack(), weight, c);
    }
  }
}

TEST(RowScale, IsTheLargestNumberThatAllAreWholeMultiplesOf) {
  const auto of = [](const std::vector<float>& scales) { return row_scale(scales); };
  EXPECT_EQ(of({6.0F, 10.0F, 4.0F}), 2.0F);
  EXPECT_EQ(of({0.1F, 0.2F, 0.0F}), 0.1F);
  EXPECT_EQ(of({0.75F, 191.25F}), 0.75F);
  EXPECT_EQ(of({0x1p-149F, 0x3p-149F}), 0x1p-149F);
  EXPECT_EQ(of({std::numeric_limits<float>::max()}), std::numeric_limits<float>::max());
  EXPECT_EQ(of({0.0F, 0.0F}), 0.0F);
  EXPECT_EQ(of({1.0F, 256.0F}), std::nullopt);
  EXPECT_EQ(of({1.0F, 254.5F}), std::nullopt);
  EXPECT_EQ(of({1.0F, 1.0F + 0x1p-23F}), std::nullopt);
  EXPECT_EQ(of({1.0F, -1.0F}), std::nullopt);
  EXPECT_EQ(of({1.0F, INFINITY}), std::nullopt);
  EXPECT_EQ(of({1.0F, std::nanf("")}), std::nullopt);
}

TEST(PackedWeight, KeepsMovedGroupsAndTheCodesBelowOutliers) {
  for (const int bits : {2, 3, 4, 8}) {
    expect_round_trip({33, 300, 64, bits, Decoding::kWholeZero, false, ScaleStorage::kFloat16, true, 0});
    expect_round_trip({33, 300, 64, bits, Decoding::kWholeZero, false, ScaleStorage::kFloat16, true, 500});
  }
}

TEST(PackedWeight, IsTheSameForAnyCutOfTheWork) {
  const WeightCase c{100, 333, 64, 3, Decoding::kWholeZero, false, ScaleStorage::kFloat16, true, 100};
  const UnpackedWeight weight = make_weight(c);
  std::int64_t part = 3;
  const Executor executor{testing::run_on_threads, &part};
  expect_same(PackedWeight::pack(weight.view(), executor).unpack(), weight, c);
}

TEST(PackedWeight, TakesTheBytesThatItsCodesAndScalesNeed) {
  const WeightCase c{4096, 4096, 128, 4};
  const std::int64_t codes = c.rows * c.columns / 2;
  const std::int64_t parameters = c.rows * (c.columns / c.group) * (2 + 1);
  const std::int64_t bytes = PackedWeight::pack(make_weight(c).view()).bytes();
  EXPECT_GE(bytes, codes + parameters);
  EXPECT_LE(bytes, codes + parameters + 10000);
}

// Spoils one thing of a sound weight of [3, 40] in groups of 32.
template <typename Spoil>
std::string text_after(Spoil&& spoil, const WeightCase& c = {3, 40, 32, 4, Decoding::kWholeZero, false,
                                                             ScaleStorage::kFloat16, false, 4}) {
  UnpackedWeight weight = make_weight(c);
  spoil(weight);
  return error_text(ErrorCode::kData, [&] { (void)PackedWeight::pack(weight.view()); });
}

TEST(PackedWeight, RefusesShapesThatContradictEachOther) {
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.shape.rows = 0; }),
            "packing: the matrix is [0, 40], expected 1 to 16777216 rows and 1 to 16777216 columns");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.shape.bits = 1; }), "packing: codes have 1 bits, expected 2 to 8");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.shape.bits = 9; }), "packing: codes have 9 bits, expected 2 to 8");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.shape.groups = 41; }),
            "packing: 41 groups of 40 columns, expected at least 1 and at most one a column");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.shape.group = 0; }),
            "packing: a group has 0 columns, expected at least 1");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.shape.group = 64; }),
            "packing: 2 groups, expected 1 (groups of 64 in 40 columns)");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.codes.pop_back(); }),
            "packing: codes has 119 numbers, expected 120 (rows times columns)");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.scales.push_back(1.0F); }),
            "packing: scales has 7 numbers, expected 6 (rows times groups)");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.zeros.clear(); }),
            "packing: zeros has 0 numbers, expected 6 (rows times groups)");
  EXPECT_EQ(text_after([](UnpackedWeight& w) {
              w.group_index = {0, 1};
            }),
            "packing: group_index has 2 numbers, expected 40 (one a column)");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.table = {1.0F}; }),
            "packing: the table has 1 numbers, expected none beside zero points");
}

TEST(PackedWeight, RefusesNumbersThatItCannotHold) {
  const std::string scale = "packing: the scale of row 1, group 0 is ";
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.scales[2] = std::nanf(""); }),
            scale + "nan, expected a finite number");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.scales[2] = INFINITY; }), scale + "inf, expected a finite number");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.scales[2] = 0.1F; }),
            scale + "0.1, which float16 cannot hold; round scales before codes are chosen, or pack them as float32");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.zeros[1] = 16.0F; }),
            "packing: the zero of row 0, group 1 is 16, expected a whole number from 0 to 15");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.zeros[1] = 0.5F; }),
            "packing: the zero of row 0, group 1 is 0.5, expected a whole number from 0 to 15");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.zeros[1] = -INFINITY; }, {3, 40, 32, 4, Decoding::kRealZero}),
            "packing: the zero of row 0, group 1 is -inf, expected a finite number");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.codes[41] = 16; }),
            "packing: the code of row 1, column 1 is 16, expected less than 16");
  EXPECT_EQ(text_after(
                [](UnpackedWeight& w) {
                  w.table.resize(3);
                  w.codes.assign(w.codes.size(), 3);
                },
                {3, 40, 32, 2, Decoding::kTable}),
            "packing: the code of row 0, column 0 is 3, expected less than 3");
}

TEST(PackedWeight, RefusesScalesThatAreNotOfTwoLevels) {
  const WeightCase c{3, 40, 32, 4, Decoding::kWholeZero, false, ScaleStorage::kUint8};
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.scales[2] *= 1.37F; }, c),
            "packing: the scales of row 1 are no whole multiples, up to 255, of one positive number; round them before "
            "codes are chosen, or pack them as float32");
  EXPECT_EQ(text_after(
                [](UnpackedWeight& w) {
                  w.scales[2] = 12.0F;
                  w.scales[3] = 1.0F;
                  w.zeros[2] = 15.0F;
                  w.zeros[3] = 0.0F;
                },
                c),
            "packing: 12 (code - 15) of row 1, group 0 leaves -128..127 for codes of 4 bits; fit scales of two levels "
            "so that it does not, or pack them as float32");
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.shape.decoding = Decoding::kRealZero; }, c),
            "packing: scales of two levels with real zero points and codes of 4 bits, expected whole zero points and 2 "
            "to 4 bits; pack the scales as float32");
  EXPECT_EQ(
      text_after([](UnpackedWeight& w) { w.shape.bits = 8; }, c),
      "packing: scales of two levels with whole zero points and codes of 8 bits, expected whole zero points and 2 "
      "to 4 bits; pack the scales as float32");
}

TEST(PackedWeight, RefusesIndicesOutsideTheMatrix) {
  EXPECT_EQ(text_after([](UnpackedWeight& w) { w.group_index.assign(40, 2); }),
            "packing: column 0 lies in group 2, expected 0 to 1");
  EXPECT_EQ(
      text_after([](UnpackedWeight& w) { w.outlier_columns[0] = 40; }),
      fmt::format(
          "packing: outlier 0 lies at row {}, column 40 of a matrix [3, 40]",
          make_weight({3, 40, 32, 4, Decoding::kWholeZero, false, ScaleStorage::kFloat16, false, 4}).outlier_rows[0]));
  EXPECT_EQ(text_after([](UnpackedWeight& w) {
              w.outlier_rows = {2, 2};
              w.outlier_columns = {5, 5};
              w.outlier_values = {1.0F, 2.0F};
            }),
            "packing: outlier 1 (row 2, column 5) does not follow the one before it; sort them by row and column, each "
            "place once");
  EXPECT_EQ(text_after([](UnpackedWeight& w) {
              w.outlier_rows = {2};
              w.outlier_columns = {5};
              w.outlier_values = {INFINITY};
            }),
            "packing: the outlier at row 2, column 5 is inf, expected a finite number");
}

}  // namespace
}  // namespace lowbit::kernels
