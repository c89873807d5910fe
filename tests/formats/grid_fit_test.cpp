#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cmath>
#include <limits>

#include "formats/grid_fit.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

using testing::HasSubstr;

at::Tensor random_matrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed = 1) {
  const Random random(seed, "grid");
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return tensor_of(std::span<const float>(values)).view({rows, columns});
}

std::vector<GridSpec> integer_grids() {
  std::vector<GridSpec> grids;
  for (const int bits : {2, 3, 4, 5, 8}) {
    for (const Symmetry symmetry :
         {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymRestricted, Symmetry::kSymFullSigned}) {
      for (const std::int64_t group : {-1, 0, 7, 16}) {
        grids.push_back({GridKind::kInteger, bits, symmetry, "", group, ScaleType::kFloat16});
      }
    }
  }
  return grids;
}

std::vector<GridSpec> all_grids() {
  std::vector<GridSpec> grids = integer_grids();
  for (const std::int64_t group : {-1, 0, 7, 16}) {
    grids.push_back({GridKind::kOffset, 4, Symmetry::kAsymmetric, "", group, ScaleType::kFloat16});
    grids.push_back({GridKind::kCodebook, 4, Symmetry::kAsymmetric, "nf4", group, ScaleType::kFloat32});
    grids.push_back({GridKind::kCodebook, 4, Symmetry::kAsymmetric, "e2m1", group, ScaleType::kE8M0});
    grids.push_back({GridKind::kInteger, 4, Symmetry::kSymOffset, "", group, ScaleType::kBFloat16});
  }
  return grids;
}

// Round to nearest written down from its definition, one weight at a time, in float32 like the reference programs.
struct Plain {
  std::vector<float> scales, zeros, values;
  std::vector<int> codes;
};

Plain plain_round_to_nearest(const at::Tensor& weight, const GridSpec& grid) {
  Plain plain;
  const std::int64_t columns = weight.size(1);
  const auto w = values_of<float>(weight);
  const float top = std::exp2(static_cast<float>(grid.bits)) - 1.0F;
  const float half = std::exp2(static_cast<float>(grid.bits - 1));
  const std::int64_t width = grid.group > 0 ? grid.group : columns;
  plain.codes.resize(w.size());
  plain.values.resize(w.size());
  for (std::int64_t row = 0; row < weight.size(0); ++row) {
    for (std::int64_t first = 0; first < columns; first += width) {
      const std::int64_t last = std::min(columns, first + width);
      float low = 0.0F, high = 0.0F, extreme = 0.0F;
      for (std::int64_t c = first; c < last; ++c) {
        const float x = w[static_cast<std::size_t>(row * columns + c)];
        if (x < low) low = x;
        if (x > high) high = x;
        if (std::fabs(x) > std::fabs(extreme)) extreme = x;
      }
      float scale = 0.0F, zero = half;
      const float largest = std::fabs(extreme);
      if (grid.symmetry == Symmetry::kAsymmetric) scale = (high - low) / top;
      if (grid.symmetry == Symmetry::kSymOffset) scale = 2.0F * largest / top;
      if (grid.symmetry == Symmetry::kSymRestricted) scale = largest / (half - 1.0F);
      if (grid.symmetry == Symmetry::kSymFullSigned) scale = extreme / -half;
      scale = static_cast<float>(c10::Half(scale));
      if (grid.symmetry == Symmetry::kAsymmetric) zero = std::rint(-low / scale);
      plain.scales.push_back(scale);
      plain.zeros.push_back(zero);
      for (std::int64_t c = first; c < last; ++c) {
        const auto i = static_cast<std::size_t>(row * columns + c);
        float q = std::rint(w[i] / scale) + zero;
        q = q < 0.0F ? 0.0F : q > top ? top : q;
        plain.codes[i] = static_cast<int>(q);
        plain.values[i] = scale * (q - zero);
      }
    }
  }
  return plain;
}

double error_under(const at::Tensor& a, const at::Tensor& b, double norm) {
  return a.to(at::kDouble).sub(b.to(at::kDouble)).abs().pow(norm).sum().item<double>();
}

TEST(QuantizeToNearest, EqualsThePlainDefinition) {
  const at::Tensor weight = random_matrix(5, 40);
  for (const GridSpec& grid : integer_grids()) {
    if (grid.group == 0) continue;
    const Plain plain = plain_round_to_nearest(weight, grid);
    const QuantizedWeight quantized = quantize_to_nearest(weight, grid);
    const at::Tensor dequantized = quantized.dequantize();
    for (std::size_t i = 0; i < plain.scales.size(); ++i) {
      ASSERT_EQ(values_of<float>(quantized.scales)[i], plain.scales[i]) << grid.text() << " scale " << i;
      ASSERT_EQ(values_of<float>(quantized.zeros)[i], plain.zeros[i]) << grid.text() << " zero " << i;
    }
    for (std::size_t i = 0; i < plain.codes.size(); ++i) {
      ASSERT_EQ(values_of<std::uint8_t>(quantized.codes)[i], plain.codes[i]) << grid.text() << " code " << i;
      ASSERT_EQ(values_of<float>(dequantized)[i], plain.values[i]) << grid.text() << " weight " << i;
    }
  }
}

TEST(QuantizeToNearest, MakesWeightsThatPassTheirOwnCheck) {
  const at::Tensor weight = random_matrix(6, 40);
  const ClipSearch search;
  for (const GridSpec& grid : all_grids()) {
    EXPECT_NO_THROW(quantize_to_nearest(weight, grid).check("layer")) << grid.text();
    EXPECT_NO_THROW(quantize_to_nearest(weight, grid, &search).check("layer")) << grid.text();
  }
}

TEST(QuantizeToNearest, ErrsByHalfAStepWhereNothingIsClipped) {
  const at::Tensor weight = random_matrix(4, 48);
  for (GridSpec grid : integer_grids()) {
    if (grid.group == 0) continue;
    const QuantizedWeight quantized = quantize_to_nearest(weight, grid);
    const at::Tensor dequantized = quantized.dequantize();
    const auto groups = quantized.column_groups();
    const auto w = values_of<float>(weight);
    const auto d = values_of<float>(dequantized);
    const auto codes = values_of<std::uint8_t>(quantized.codes);
    const auto scales = values_of<float>(quantized.scales);
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (codes[i] == 0 || codes[i] == (1 << grid.bits) - 1) continue;
      const float scale = std::abs(scales[i / 48 * static_cast<std::size_t>(quantized.scales.size(1)) +
                                          static_cast<std::size_t>(groups[i % 48])]);
      // The quotient, the product and the difference each round once, by 2^-24 of numbers of at most 2^8 steps.
      ASSERT_LE(std::abs(w[i] - d[i]), scale * (0.5F + 3.0F * 0x1p-16F)) << grid.text() << " weight " << i;
    }
  }
}

TEST(QuantizeToNearest, LeavesNumbersOnASymmetricGridAlone) {
  const at::Tensor weight = random_matrix(4, 32);
  for (const int bits : {2, 4, 8}) {
    // With float32 scales, sym_restricted maps its extremes to whole codes, so that the scale is found again to a last
    // place and the codes exactly.
    const GridSpec grid{GridKind::kInteger, bits, Symmetry::kSymRestricted, "", 16, ScaleType::kFloat16};
    const QuantizedWeight once = quantize_to_nearest(weight, grid);
    const QuantizedWeight twice = quantize_to_nearest(once.dequantize(), grid);
    EXPECT_TRUE(once.dequantize().equal(twice.dequantize())) << bits;
    // For the other grids: on the same scales.
    for (const Symmetry symmetry : {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymFullSigned}) {
      const GridSpec other{GridKind::kInteger, bits, symmetry, "", -1, ScaleType::kFloat16};
      const GroupParameters parameters = fit_min_max(weight, other);
      const at::Tensor codes = encode_columns(weight, parameters, other);
      EXPECT_TRUE(encode_columns(decode_columns(codes, parameters, other), parameters, other).equal(codes)) << bits;
    }
  }
}

TEST(QuantizeToNearest, ScalesWithPowersOfTwo) {
  const at::Tensor weight = random_matrix(4, 40);
  const ClipSearch search;
  for (const GridSpec& grid : all_grids()) {
    if (grid.kind == GridKind::kOffset) continue;
    for (const double factor : {0.25, 8.0}) {
      for (const ClipSearch* clip : {static_cast<const ClipSearch*>(nullptr), &search}) {
        const QuantizedWeight plain = quantize_to_nearest(weight, grid, clip);
        const QuantizedWeight scaled = quantize_to_nearest(weight.mul(factor), grid, clip);
        EXPECT_TRUE(scaled.dequantize().equal(plain.dequantize().mul(factor))) << grid.text() << " times " << factor;
      }
    }
  }
}

TEST(QuantizeToNearest, OneGroupOfAllColumnsIsPerChannel) {
  const at::Tensor weight = random_matrix(4, 40);
  for (GridSpec grid : integer_grids()) {
    grid.group = 40;
    const QuantizedWeight grouped = quantize_to_nearest(weight, grid);
    grid.group = -1;
    EXPECT_TRUE(quantize_to_nearest(weight, grid).dequantize().equal(grouped.dequantize())) << grid.text();
  }
}

TEST(QuantizeToNearest, OneScaleATensorIsTheFitOfAllWeights) {
  const at::Tensor weight = random_matrix(4, 40);
  GridSpec grid{GridKind::kInteger, 4, Symmetry::kAsymmetric, "", 0, ScaleType::kFloat16};
  const QuantizedWeight whole = quantize_to_nearest(weight, grid);
  grid.group = -1;
  const QuantizedWeight flat = quantize_to_nearest(weight.view({1, 160}), grid);
  EXPECT_TRUE(whole.codes.view({1, 160}).equal(flat.codes));
  EXPECT_EQ(whole.scales.size(0), 4);
}

TEST(QuantizeToNearest, HandlesARaggedLastGroupAsAGroupOfItsOwn) {
  const at::Tensor weight = random_matrix(3, 20);
  const GridSpec grid{GridKind::kInteger, 3, Symmetry::kAsymmetric, "", 8, ScaleType::kFloat16};
  const QuantizedWeight ragged = quantize_to_nearest(weight, grid);
  ASSERT_EQ(ragged.scales.size(1), 3);
  const at::Tensor tail = weight.slice(1, 16, 20).contiguous();
  EXPECT_TRUE(ragged.dequantize().slice(1, 16, 20).equal(quantize_to_nearest(tail, grid).dequantize()));
}

TEST(QuantizeToNearest, DoesNotDependOnThreads) {
  const at::Tensor weight = random_matrix(301, 77);
  const int before = thread_count();
  const ClipSearch search;
  for (const std::int64_t group : {-1, 16}) {
    const GridSpec grid{GridKind::kInteger, 4, Symmetry::kAsymmetric, "", group, ScaleType::kFloat16};
    set_thread_count(1);
    const Hash one = quantize_to_nearest(weight, grid, &search).content_hash();
    for (const int threads : {2, 3}) {
      set_thread_count(threads);
      EXPECT_EQ(quantize_to_nearest(weight, grid, &search).content_hash(), one) << threads;
    }
  }
  set_thread_count(before);
}

TEST(QuantizeToNearest, HoldsZeroExactly) {
  at::Tensor weight = random_matrix(4, 32);
  weight.select(1, 5).zero_();
  for (const GridSpec& grid : all_grids()) {
    if (grid.kind == GridKind::kOffset) continue;  // a real zero need not be a code
    const at::Tensor column = quantize_to_nearest(weight, grid).dequantize().select(1, 5);
    EXPECT_EQ(column.abs().max().item<float>(), 0.0F) << grid.text();
  }
}

TEST(QuantizeToNearest, GivesAllZeroGroupsAGridThatHoldsZero) {
  const at::Tensor zeros = make_zeros({3, 20}, DType::kFloat32);
  const ClipSearch search;
  for (const GridSpec& grid : all_grids()) {
    const QuantizedWeight quantized = quantize_to_nearest(zeros, grid, &search);
    if (grid.kind == GridKind::kInteger) {
      EXPECT_EQ(quantized.dequantize().abs().max().item<float>(), 0.0F) << grid.text();
    }
    EXPECT_NO_THROW(quantized.check("layer"));
    EXPECT_GT(quantized.scales.abs().min().item<float>(), 0.0F) << grid.text();
  }
}

TEST(QuantizeToNearest, MirrorsGroupsWithoutNegativeWeights) {
  const at::Tensor weight = random_matrix(4, 32).abs();
  for (const bool negative : {false, true}) {
    const at::Tensor part = negative ? weight.neg() : weight;
    for (const Symmetry symmetry : {Symmetry::kSymOffset, Symmetry::kSymRestricted, Symmetry::kSymFullSigned}) {
      const GridSpec grid{GridKind::kInteger, 4, symmetry, "", 16, ScaleType::kFloat32};
      const QuantizedWeight quantized = quantize_to_nearest(part, grid);
      // Nothing lies outside the grid: no weight errs by more than half a step, and a last place.
      const at::Tensor error = quantized.dequantize().sub(part).abs();
      const float step = quantized.scales.abs().max().item<float>();
      EXPECT_LE(error.max().item<float>(), step * 0.5001F) << grid.text();
    }
  }
}

TEST(QuantizeToNearest, SurvivesHugeTinyAndDenormalWeights) {
  const ClipSearch search;
  for (const double size : {1e38, 1e30, 1e6, 1e-6, 1e-20, 1e-39, 1e-44}) {
    at::Tensor weight = random_matrix(3, 20).mul(size).clamp(-3.4e38, 3.4e38);
    for (const GridSpec& grid : all_grids()) {
      for (const ClipSearch* clip : {static_cast<const ClipSearch*>(nullptr), &search}) {
        const QuantizedWeight quantized = quantize_to_nearest(weight, grid, clip);
        EXPECT_NO_THROW(quantized.check("layer")) << grid.text() << " at " << size;
        EXPECT_TRUE(quantized.dequantize().isfinite().all().item<bool>()) << grid.text() << " at " << size;
      }
    }
  }
}

TEST(QuantizeToNearest, NamesThePlaceOfAWeightThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    at::Tensor weight = random_matrix(3, 20);
    weight.select(0, 2).select(0, 7).fill_(bad);
    for (const auto& action : {+[](const at::Tensor& w) { (void)quantize_to_nearest(w, {}); },
                               +[](const at::Tensor& w) { (void)fit_min_max(w, {}); },
                               +[](const at::Tensor& w) { (void)fit_clipped(w, {}, {}); }}) {
      try {
        action(weight);
        FAIL();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kData);
        EXPECT_THAT(error.what(), HasSubstr("weight at row 2, column 7 is"));
      }
    }
  }
}

TEST(FitClipped, IsNeverWorseThanTheWholeRange) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    at::Tensor weight = random_matrix(8, 64, seed);
    weight.select(1, 3).mul_(6.0);  // an outlier a row
    for (const GridSpec& grid : all_grids()) {
      for (const double norm : {1.0, 2.0, 2.4}) {
        const ClipSearch search{100, 0.8, norm};
        const at::Tensor clipped = quantize_to_nearest(weight, grid, &search).dequantize();
        const at::Tensor plain = quantize_to_nearest(weight, grid).dequantize();
        // Sums of the same 512 terms in another order: 512 * 2^-53 relative.
        EXPECT_LE(error_under(clipped, weight, norm), error_under(plain, weight, norm) * (1 + 1e-12)) << grid.text();
      }
    }
  }
}

TEST(FitClipped, FindsTheBestCandidateOfAnExhaustiveSearch) {
  at::Tensor weight = random_matrix(16, 32, 9);
  for (const Symmetry symmetry : {Symmetry::kAsymmetric, Symmetry::kSymOffset}) {
    const GridSpec grid{GridKind::kInteger, 3, symmetry, "", -1, ScaleType::kFloat16};
    const GroupParameters found = fit_clipped(weight, grid, {});
    const at::Tensor found_weight = decode_columns(encode_columns(weight, found, grid), found, grid);
    for (int i = 0; i < 80; ++i) {
      // A shrunken range is the range of shrunken weights.
      const GroupParameters candidate = fit_min_max(weight.mul(1.0 - i / 100.0), grid);
      const at::Tensor other = decode_columns(encode_columns(weight, candidate, grid), candidate, grid);
      for (std::int64_t row = 0; row < 16; ++row) {
        // The search ranks candidates by powers that err by 4e-6 each.
        EXPECT_LE(error_under(found_weight.select(0, row), weight.select(0, row), 2.4),
                  error_under(other.select(0, row), weight.select(0, row), 2.4) * (1 + 2e-5));
      }
    }
  }
}

TEST(FitMinMax, GivesZeroAndNeverMinusZero) {
  const GroupParameters found = fit_min_max(random_matrix(2, 8).abs(), {});
  EXPECT_EQ(std::signbit(values_of<float>(found.zeros)[0]), false);
}

TEST(FitClipped, RefusesAnEmptySearch) {
  try {
    (void)fit_clipped(random_matrix(2, 8), {}, {0, 0.8, 2.4});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("clip search: 0 steps"));
  }
}

TEST(RoundScale, RoundsToTheStorageTypeAndKeepsAwayFromZeroAndInfinity) {
  EXPECT_EQ(round_scale(0.0F, ScaleType::kFloat16), 0.0F);
  EXPECT_EQ(round_scale(1e-30F, ScaleType::kFloat16), 0x1p-24F);
  EXPECT_EQ(round_scale(-1e-30F, ScaleType::kFloat16), -0x1p-24F);
  EXPECT_EQ(round_scale(1e30F, ScaleType::kFloat16), 65504.0F);
  EXPECT_EQ(round_scale(-1e30F, ScaleType::kFloat16), -65504.0F);
  EXPECT_EQ(round_scale(0.1F, ScaleType::kFloat16), static_cast<float>(c10::Half(0.1F)));
  EXPECT_EQ(round_scale(0.1F, ScaleType::kBFloat16), static_cast<float>(c10::BFloat16(0.1F)));
  EXPECT_EQ(round_scale(0.1F, ScaleType::kFloat32), 0.1F);
}

TEST(RoundScale, GivesTheNearestPowerOfTwoForE8m0) {
  EXPECT_EQ(round_scale(1.0F, ScaleType::kE8M0), 1.0F);
  EXPECT_EQ(round_scale(1.4F, ScaleType::kE8M0), 1.0F);
  EXPECT_EQ(round_scale(1.6F, ScaleType::kE8M0), 2.0F);
  EXPECT_EQ(round_scale(1.5F, ScaleType::kE8M0), 1.0F);  // half way: exponent 0 is even
  EXPECT_EQ(round_scale(3.0F, ScaleType::kE8M0), 4.0F);  // half way: exponent 2 is even
  EXPECT_EQ(round_scale(1e-45F, ScaleType::kE8M0), 0x1p-127F);
  EXPECT_EQ(round_scale(3e38F, ScaleType::kE8M0), 0x1p127F);
}

TEST(GridSpec, SaysWhatIsWrongWithIt) {
  const auto message = [](const GridSpec& grid) -> std::string {
    try {
      grid.check();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({GridKind::kInteger, 9, Symmetry::kAsymmetric, "", 128}), "grid: 9 bits, expected 2 to 8");
  EXPECT_THAT(message({GridKind::kInteger, 4, Symmetry::kAsymmetric, "", -2, ScaleType::kFloat16}),
              HasSubstr("grid: group -2, expected"));
  EXPECT_THAT(message({GridKind::kInteger, 4, Symmetry::kSymFullSigned, "", 8, ScaleType::kE8M0}),
              HasSubstr("e8m0 has no sign"));
  EXPECT_THAT(message({GridKind::kCodebook, 8, Symmetry::kAsymmetric, "nf4", 64, ScaleType::kFloat16}),
              HasSubstr("codebook 'nf4' has 4 bits, not 8"));
}

TEST(GridSpec, NamesItselfForReports) {
  EXPECT_EQ(GridSpec{}.text(), "int4 g128 asymmetric");
  EXPECT_EQ((GridSpec{GridKind::kCodebook, 4, Symmetry::kAsymmetric, "nf4", -1, ScaleType::kFloat32}.text()),
            "nf4 per channel, float32 scales");
}

TEST(GridSpec, CountsRaggedGroups) { EXPECT_EQ(GridSpec{}.groups(172), 2); }

}  // namespace
}  // namespace lowbit
