#include "evaluation/exponentials.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace lowbit {
namespace {

TEST(Exponentials, AreWithinTwoUnitsInTheLastPlaceOfTheLibrarys) {
  std::vector<float> logits;
  for (float value = 0; value > -700; value -= 0.0371F) logits.push_back(value);
  for (float value = -1e-12F; value > -1; value *= 1.3F) logits.push_back(value);
  std::vector<double> result(logits.size());
  exponentials(logits.data(), logits.size(), 0.125, result.data());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double expected = std::exp(static_cast<double>(logits[i]) - 0.125);
    // One unit of each: the library's own error stays below one, too.
    EXPECT_NEAR(result[i], expected, 2 * expected * std::numeric_limits<double>::epsilon()) << logits[i];
  }
}

TEST(Exponentials, OfNothingOfEverythingAndOfDamage) {
  const std::vector<float> logits = {2.0F, -std::numeric_limits<float>::infinity(), -3e38F, std::nanf("")};
  std::vector<double> result(logits.size());
  exponentials(logits.data(), logits.size(), 2.0, result.data());
  EXPECT_EQ(result[0], 1.0);
  EXPECT_EQ(result[1], 0.0);
  EXPECT_EQ(result[2], 0.0);
  EXPECT_TRUE(std::isnan(result[3]));
}

TEST(Exponentials, DoNotDependOnHowTheRowIsCut) {
  std::vector<float> logits;
  for (int i = 0; i < 101; ++i) logits.push_back(-0.37F * static_cast<float>(i));
  std::vector<double> whole(logits.size());
  exponentials(logits.data(), logits.size(), 0, whole.data());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    double one = 0;
    exponentials(logits.data() + i, 1, 0, &one);
    EXPECT_EQ(one, whole[i]);
  }
}

}  // namespace
}  // namespace lowbit
