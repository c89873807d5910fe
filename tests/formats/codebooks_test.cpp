#include "lowbit/formats/codebooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <c10/util/Float8_e4m3fn.h>

#include <array>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

TEST(Codebook, E4m3EqualsLibTorchForEveryCode) {
  const Codebook& codebook = find_codebook("e4m3");
  ASSERT_EQ(codebook.table.size(), 256U);
  for (unsigned code = 0; code < 256; ++code) {
    const float expected = c10::Float8_e4m3fn(static_cast<std::uint8_t>(code), c10::Float8_e4m3fn::from_bits());
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(codebook.table[code])) << code;
    } else {
      EXPECT_EQ(codebook.table[code], expected) << code;
    }
  }
  EXPECT_EQ(codebook.largest, 448.0F);
}

TEST(Codebook, RoundsToE4m3AsLibTorchDoesBelowItsLimit) {
  const Codebook& codebook = find_codebook("e4m3");
  const Random random(5, "e4m3");
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const float value =
        static_cast<float>((random.uniform(2 * i) - 0.5) * std::exp2(18.0 * random.uniform(2 * i + 1) - 9.0));
    if (std::abs(value) > 448.0F) continue;
    EXPECT_EQ(codebook.table[nearest_code(codebook, value)], static_cast<float>(c10::Float8_e4m3fn(value))) << value;
  }
}

TEST(Codebook, BreaksE2m1TiesTowardsTheEvenCode) {
  const Codebook& codebook = find_codebook("e2m1");
  const std::array<std::pair<float, float>, 8> cases = {{{0.25F, 0.0F},
                                                         {0.75F, 1.0F},
                                                         {1.25F, 1.0F},
                                                         {1.75F, 2.0F},
                                                         {2.5F, 2.0F},
                                                         {3.5F, 4.0F},
                                                         {5.0F, 4.0F},
                                                         {7.0F, 6.0F}}};
  for (const auto& [value, expected] : cases) {
    EXPECT_EQ(codebook.table[nearest_code(codebook, value)], expected) << value;
    EXPECT_EQ(codebook.table[nearest_code(codebook, -value)], -expected) << -value;
  }
}

TEST(Codebook, DecidesNf4AtThePublishedThresholds) {
  // QLoRA's thresholds, to their seven printed digits.
  const std::array<double, 15> thresholds = {-0.8480964, -0.6106329, -0.4599953, -0.3396794, -0.2346074,
                                             -0.1379117, -0.0455250, 0.0397901,  0.1202553,  0.2035213,
                                             0.2920138,  0.3893125,  0.5016634,  0.6427869,  0.8614785};
  const Codebook& codebook = find_codebook("nf4");
  for (std::size_t i = 0; i < thresholds.size(); ++i) {
    EXPECT_EQ(nearest_code(codebook, static_cast<float>(thresholds[i] - 2e-7)), i);
    EXPECT_EQ(nearest_code(codebook, static_cast<float>(thresholds[i] + 2e-7)), i + 1);
  }
}

TEST(Codebook, ReturnsEveryEntryItStandsFor) {
  for (const std::string& name : codebook_names()) {
    const Codebook& codebook = find_codebook(name);
    for (const std::uint8_t code : codebook.ascending)
      EXPECT_EQ(nearest_code(codebook, codebook.table[code]), code) << name;
    EXPECT_EQ(codebook.table[nearest_code(codebook, 0.0F)], 0.0F) << name;
    EXPECT_EQ(codebook.table[nearest_code(codebook, 1e30F)], codebook.largest) << name;
  }
}

TEST(Codebook, RoundsTernaryHalvesToZero) {
  const Codebook& codebook = find_codebook("ternary");
  EXPECT_EQ(codebook.table[nearest_code(codebook, 0.5F)], 0.0F);
  EXPECT_EQ(codebook.table[nearest_code(codebook, -0.5F)], 0.0F);
  EXPECT_EQ(codebook.table[nearest_code(codebook, -0.51F)], -1.0F);
}

TEST(Codebook, NamesTheNearestWhenUnknown) {
  try {
    (void)find_codebook("nf5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "unknown codebook 'nf5'; did you mean 'nf4'?");
  }
}

}  // namespace
}  // namespace lowbit
