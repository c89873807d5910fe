#include <gtest/gtest.h>

#include "kernel_cases.h"
#include "oracle.h"

namespace lowbit::kernels {
namespace {

using testing::Bits;
using testing::kArithmetics;
using testing::legal;
using testing::make_input;
using testing::make_weight;
using testing::Oracle;
using testing::run_product;
using testing::WeightCase;

constexpr auto kTwoLevels = ScaleStorage::kUint8;
constexpr auto kWhole = Decoding::kWholeZero;

// Every backend and arithmetic gives the bits of the definition.
void expect_definition(const WeightCase& c, std::int64_t tokens, const std::vector<float>* given = nullptr) {
  const UnpackedWeight weight = make_weight(c);
  const PackedWeight packed = PackedWeight::pack(weight.view());
  const std::vector<float> input = given != nullptr ? *given : make_input(tokens, c.columns);
  const Oracle oracle(weight);
  for (const Arithmetic arithmetic : kArithmetics) {
    if (!legal(c, arithmetic)) continue;
    Bits expected;
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t r = 0; r < c.rows; ++r) {
        expected.values.push_back(oracle.product(arithmetic, input.data() + t * c.columns, r, 0.0F));
      }
    }
    for (const std::string& backend : testing::usable_backends()) {
      EXPECT_TRUE(run_product(packed, arithmetic, input, backend) == expected)
          << backend << ", " << arithmetic_name(arithmetic) << ", " << tokens << " tokens, " << c;
    }
  }
}

TEST(Product, HasTheBitsOfItsDefinitionForAnyShape) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t columns : {1, 7, 31, 33, 64, 129, 300, 576}) {
      for (const std::int64_t rows : {1, 17}) expect_definition({rows, columns, 64, bits}, 3);
    }
  }
}

TEST(Product, HasTheBitsOfItsDefinitionForAnyNumberOfTokens) {
  for (const int bits : {2, 3, 4, 5, 8}) {
    for (const std::int64_t tokens : {0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13}) {
      expect_definition({18, 100, 32, bits}, tokens);
    }
  }
  expect_definition({18, 70, 32, 4}, 97);  // more than one call of a kernel
}

TEST(Product, HasTheBitsOfItsDefinitionForAnyGroup) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t group : {16, 32, 100, 256, 257, 512, 600, 100000}) {
      for (const std::int64_t tokens : {1, 2, 7}) expect_definition({16, 600, group, bits}, tokens);
    }
  }
}

TEST(Product, HasTheBitsOfItsDefinitionForAnyDecoding) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const Decoding decoding : {Decoding::kWholeZero, Decoding::kRealZero, Decoding::kTable}) {
      for (const ScaleStorage storage : {ScaleStorage::kFloat32, ScaleStorage::kFloat16, ScaleStorage::kBFloat16}) {
        for (const std::int64_t tokens : {1, 7}) expect_definition({20, 90, 64, bits, decoding, true, storage}, tokens);
      }
    }
  }
}

TEST(Product, HasTheBitsOfItsDefinitionWithMovedGroupsAndOutliers) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t outliers : {0, 40, 2000}) {
      for (const std::int64_t tokens : {1, 2, 7}) {
        const auto storage = ScaleStorage::kFloat16;
        expect_definition({33, 300, 64, bits, Decoding::kWholeZero, false, storage, true, outliers}, tokens);
        expect_definition({33, 300, 64, bits, Decoding::kWholeZero, false, storage, false, outliers}, tokens);
        expect_definition({33, 300, 64, bits, Decoding::kTable, false, storage, true, outliers}, tokens);
      }
    }
  }
}

TEST(Product, HasTheBitsOfItsDefinitionForScalesOfTwoLevels) {
  for (const int bits : {2, 3, 4}) {
    for (const std::int64_t tokens : {0, 1, 2, 3, 4, 5, 7, 11, 12, 13, 33, 97}) {
      expect_definition({18, 100, 32, bits, kWhole, false, kTwoLevels}, tokens);
    }
    for (const std::int64_t columns : {1, 7, 31, 33, 129, 300, 1100}) {
      for (const std::int64_t group : {16, 64, 100, 257, 600, 100000}) {
        for (const std::int64_t tokens : {1, 7}) {
          expect_definition({17, columns, group, bits, kWhole, false, kTwoLevels}, tokens);
        }
      }
    }
    for (const std::int64_t outliers : {0, 40, 2000}) {
      for (const bool moved : {false, true}) {
        for (const std::int64_t tokens : {1, 2, 7}) {
          expect_definition({70, 300, 64, bits, kWhole, !moved, kTwoLevels, moved, outliers}, tokens);
        }
      }
    }
  }
}

// Every code at an end, every scale and zero as large as the format lets them be: bytes at -128 and 127.
TEST(Product, SumsTheLargestNumbersOfTwoLevelsExactly) {
  for (const std::int64_t columns : {512, 131072}) {
    for (const int bits : {2, 3, 4}) {
      const int whole = largest_whole_scale(bits);
      const int zero = zeros_for(whole, bits).low;
      for (const int code : {0, (1 << bits) - 1}) {
        UnpackedWeight weight = make_weight({2, columns, 64, bits, kWhole, false, kTwoLevels});
        std::ranges::fill(weight.codes, static_cast<std::uint8_t>(code));
        std::ranges::fill(weight.scales, static_cast<float>(whole) * 0.25F);
        weight.scales.front() = weight.scales.back() = 0.25F;  // so that a row's number is this
        std::ranges::fill(weight.zeros, static_cast<float>(zero));
        const PackedWeight packed = PackedWeight::pack(weight.view());
        const Oracle oracle(weight);
        for (const std::int64_t tokens : {1, 6, 17}) {
          const std::vector<float> input(static_cast<std::size_t>(tokens * columns), -1.0F);
          for (int row = 0; row < 2; ++row) {
            const float expected = oracle.product(Arithmetic::kInt8TwoLevel, input.data(), row, 0.0F);
            for (const std::string& backend : testing::usable_backends()) {
              EXPECT_EQ(run_product(packed, Arithmetic::kInt8TwoLevel, input, backend).values[row], expected)
                  << backend << ", " << bits << " bits, code " << code << ", " << columns << " columns";
            }
          }
        }
      }
    }
  }
}

TEST(Product, TakesAnyNumbersAsActivations) {
  constexpr std::int64_t kColumns = 520;
  constexpr std::int64_t kTokens = 8;
  std::vector<float> input = make_input(kTokens, kColumns);
  const auto row = [&](std::int64_t token) { return std::span(input).subspan(token * kColumns, kColumns); };
  std::ranges::fill(row(0), 0.0F);
  std::ranges::fill(row(1), std::numeric_limits<float>::denorm_min());
  row(2)[100] = 6e4F;  // one outlier
  std::ranges::fill(row(3), std::numeric_limits<float>::max() / 1024.0F);
  std::ranges::fill(row(4), -1.0F);
  for (float& value : row(5)) value *= 1e-40F;
  for (std::size_t i = 0; i < kColumns; ++i) row(6)[i] = i % 2 == 0 ? 1.0F : -1.0F;  // cancels
  for (const int bits : {2, 3, 4, 8}) {
    expect_definition({17, kColumns, 520, bits}, kTokens, &input);
    expect_definition({17, kColumns, 64, bits}, kTokens, &input);
    if (bits < 8) expect_definition({17, kColumns, 64, bits, kWhole, false, kTwoLevels}, kTokens, &input);
  }
}

TEST(Product, SumsTheLargestIntegersExactly) {
  // All codes and activations at their ends: the sums are as large as they can be, in whole groups of 65,793 columns.
  for (const std::int64_t columns : {256, 4096, 65793}) {
    for (const int bits : {2, 3, 4, 8}) {
      for (const float zero : {0.0F, static_cast<float>((1 << bits) - 1)}) {
        UnpackedWeight weight = make_weight({2, columns, columns, bits});
        std::ranges::fill(weight.codes, static_cast<std::uint8_t>(zero == 0.0F ? (1 << bits) - 1 : 0));
        std::ranges::fill(weight.zeros, zero);
        const PackedWeight packed = PackedWeight::pack(weight.view());
        const Oracle oracle(weight);
        for (const std::int64_t tokens : {1, 2, 4, 6}) {
          const std::vector<float> input(static_cast<std::size_t>(tokens * columns), -1.0F);
          for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kInt16}) {
            const float expected = oracle.product(arithmetic, input.data(), 0, 0.0F);
            for (const std::string& backend : testing::usable_backends()) {
              EXPECT_EQ(run_product(packed, arithmetic, input, backend).values[0], expected)
                  << backend << ", " << arithmetic_name(arithmetic) << ", " << bits << " bits, " << columns;
            }
          }
        }
      }
    }
  }
}

TEST(Product, KeepsATokensBitsWhateverStandsBesideIt) {
  const WeightCase c{40, 321, 64, 4, kWhole, false, ScaleStorage::kFloat16, true, 50};
  for (const int bits : {3, 4, 8}) {
    WeightCase with_bits = c;
    with_bits.bits = bits;
    if (bits == 3) with_bits.storage = kTwoLevels;
    const PackedWeight packed = PackedWeight::pack(make_weight(with_bits).view());
    const std::vector<float> input = make_input(100, c.columns);
    for (const Arithmetic arithmetic : kArithmetics) {
      if (!legal(with_bits, arithmetic)) continue;
      const Bits all = run_product(packed, arithmetic, input, "");
      for (const std::int64_t tokens : {1, 2, 4, 5, 96, 97}) {
        const std::vector<float> first(input.begin(), input.begin() + tokens * c.columns);
        const Bits part{{all.values.begin(), all.values.begin() + tokens * c.rows}};
        EXPECT_TRUE(run_product(packed, arithmetic, first, "") == part)
            << arithmetic_name(arithmetic) << ", " << tokens << " tokens, " << bits << " bits";
      }
    }
  }
}

TEST(Product, HasTheSameBitsForAnyCutOfTheWork) {
  const PackedWeight packed = PackedWeight::pack(make_weight({150, 321, 64, 4, kWhole, false, kTwoLevels}).view());
  for (const std::int64_t tokens : {1, 7, 100}) {
    const std::vector<float> input = make_input(tokens, 321);
    for (const Arithmetic arithmetic : kArithmetics) {
      const Bits expected = run_product(packed, arithmetic, input, "");
      for (std::int64_t part : {1, 3, 5}) {
        EXPECT_TRUE(run_product(packed, arithmetic, input, "", {}, {testing::run_on_threads, &part}) == expected);
      }
    }
  }
}

TEST(Product, AddsBiasAndResidual) {
  const WeightCase c{37, 100, 32, 4, kWhole, false, kTwoLevels};
  const UnpackedWeight weight = make_weight(c);
  const PackedWeight packed = PackedWeight::pack(weight.view());
  const Oracle oracle(weight);
  const std::vector<float> bias = make_input(1, c.rows, 11);
  for (const std::int64_t tokens : {1, 7}) {
    const std::vector<float> input = make_input(tokens, c.columns);
    const std::vector<float> residual = make_input(tokens, c.rows, 12);
    for (const Arithmetic arithmetic : kArithmetics) {
      Bits expected;
      for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::int64_t r = 0; r < c.rows; ++r) {
          const float y =
              oracle.product(arithmetic, input.data() + t * c.columns, r, bias[static_cast<std::size_t>(r)]);
          expected.values.push_back(y + residual[static_cast<std::size_t>(t * c.rows + r)]);
        }
      }
      for (const std::string& backend : testing::usable_backends()) {
        const Epilogue epilogue{bias, residual.data(), c.rows};
        EXPECT_TRUE(run_product(packed, arithmetic, input, backend, epilogue) == expected)
            << backend << ", " << arithmetic_name(arithmetic);
      }
    }
  }
}

TEST(Product, LetsNumbersThatAreNotFiniteReachTheirTokenAlone) {
  const WeightCase c{20, 600, 64, 4, kWhole, false, kTwoLevels, true, 20};
  const PackedWeight packed = PackedWeight::pack(make_weight(c).view());
  for (const std::int64_t tokens : {2, 4, 9}) {
    const std::vector<float> sound = make_input(tokens, c.columns);
    for (const float bad : {std::nanf(""), -std::nanf(""), INFINITY, -INFINITY}) {
      std::vector<float> input = sound;
      input[static_cast<std::size_t>(c.columns + 333)] = bad;
      for (const Arithmetic arithmetic : kArithmetics) {
        for (const std::string& backend : testing::usable_backends()) {
          const std::vector<float> expected = run_product(packed, arithmetic, sound, backend).values;
          const std::vector<float> values = run_product(packed, arithmetic, input, backend).values;
          for (std::size_t i = 0; i < values.size(); ++i) {
            if (static_cast<std::int64_t>(i) / c.rows != 1) {
              EXPECT_EQ(values[i], expected[i]) << backend << ", " << arithmetic_name(arithmetic);
            } else if (arithmetic == Arithmetic::kFloat32 || arithmetic == Arithmetic::kBFloat16) {
              EXPECT_FALSE(std::isfinite(values[i]));
            } else {
              EXPECT_TRUE(std::isnan(values[i]));
            }
          }
        }
      }
    }
  }
}

// Against the sum in float64 of activations and decoded weights, element by element: half a unit of each activation's
// integer scale on its weight, and the roundings of float32. With u = 2^-24: kFloat32 rounds once a column, the others
// once or twice a run (conversion, product, fma; a last product), each relative to sums of at most `magnitude`.
TEST(Product, IsAsNearToTheExactOneAsItsRoundingsAllow) {
  constexpr double kUnit = 0x1p-24;
  for (const int bits : {2, 4, 8}) {
    for (const std::int64_t group : {64, 600}) {
      const ScaleStorage storage = bits == 4 ? kTwoLevels : ScaleStorage::kFloat16;
      const WeightCase c{24, 600, group, bits, kWhole, false, storage, false, 10};
      const UnpackedWeight weight = make_weight(c);
      const PackedWeight packed = PackedWeight::pack(weight.view());
      const Oracle oracle(weight);
      const std::vector<float> input = make_input(5, c.columns);
      for (const Arithmetic arithmetic : kArithmetics) {
        if (!legal(c, arithmetic)) continue;
        const std::vector<float> values = run_product(packed, arithmetic, input, "").values;
        for (std::int64_t t = 0; t < 5; ++t) {
          const float* token = input.data() + t * c.columns;
          const Oracle::Rounded rounded = oracle.rounded(arithmetic, token);
          for (std::int64_t r = 0; r < c.rows; ++r) {
            double exact = 0.0;
            double magnitude = 0.0;
            double rounding = 0.0;
            for (std::int64_t k = 0; k < c.columns; ++k) {
              const double w = oracle.weight(r, k);
              const bool floats = arithmetic == Arithmetic::kFloat32 || arithmetic == Arithmetic::kBFloat16;
              const double scale = floats ? 0.0 : rounded.scales[static_cast<std::size_t>(k)];
              exact += token[k] * w;
              magnitude += (std::fabs(token[k]) + scale) * std::fabs(w);
              rounding += 0.5 * scale * (1.0 + 0x1p-8) * std::fabs(w);  // the quotient is itself rounded
            }
            if (arithmetic == Arithmetic::kBFloat16) rounding = 0x1p-8 * magnitude;
            const double steps =
                arithmetic == Arithmetic::kFloat32 || arithmetic == Arithmetic::kBFloat16 ? 600 + 1 : 3 * 10 + 10 + 2;
            const double bound = rounding + 1.01 * steps * kUnit * magnitude;
            EXPECT_LE(std::fabs(values[static_cast<std::size_t>(t * c.rows + r)] - exact), bound)
                << arithmetic_name(arithmetic) << ", " << c;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lowbit::kernels
