#include "quantization/driver/lane_sums.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace lowbit {
namespace {

// As the header says it, one number after the other.
double plain_sum(const std::vector<float>& a, const std::vector<float>& b) {
  double lanes[16] = {};
  for (std::size_t i = 0; i < a.size(); ++i) lanes[i % 16] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The same bits, whatever this processor's vectors hold.
TEST(LaneSums, AreThoseOfAPlainLoop) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (std::size_t count = 0; count < 100; ++count) {
    std::vector<float> a(count);
    std::vector<float> b(count);
    std::vector<float> differences(count);
    for (std::size_t i = 0; i < count; ++i) {
      a[i] = normal(random);
      b[i] = a[i] + 0.1F * normal(random);
      differences[i] = a[i] - b[i];
    }
    const auto columns = static_cast<std::int64_t>(count);
    EXPECT_EQ(sum_of_products(a.data(), b.data(), columns), plain_sum(a, b)) << count;
    const RowSquares squares = squares_of_row(a.data(), b.data(), columns);
    EXPECT_EQ(squares.original, plain_sum(a, a)) << count;
    EXPECT_EQ(squares.change, plain_sum(differences, differences)) << count;
  }
}

}  // namespace
}  // namespace lowbit
