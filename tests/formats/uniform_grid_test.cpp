#include "formats/uniform_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "lowbit/base/random.h"

namespace lowbit {
namespace {

// By definition, with the standard library's rounding (half to even).
std::uint8_t code_of(float value, const UniformGrid& grid) {
  const float quotient = value / grid.scale;
  const float code = grid.real_zero ? std::nearbyint(quotient + grid.zero) : std::nearbyint(quotient) + grid.zero;
  return static_cast<std::uint8_t>(std::clamp(code, 0.0F, grid.top));
}

// Ties, quotients beyond every code up to infinite ones, zeros of both signs, and numbers in between.
std::vector<float> difficult_numbers(float scale) {
  std::vector<float> numbers = {0.0F,
                                -0.0F,
                                std::numeric_limits<float>::max(),
                                std::numeric_limits<float>::lowest(),
                                std::numeric_limits<float>::denorm_min(),
                                1e30F,
                                -1e30F};
  for (int half = -1200; half <= 1200; ++half) numbers.push_back(scale * static_cast<float>(half) / 2.0F);
  const Random random(7, "numbers");
  for (std::uint64_t i = 0; i < 1000; ++i) {
    numbers.push_back(scale * static_cast<float>(600.0 * random.uniform(i) - 300.0));
  }
  return numbers;
}

TEST(UniformGrid, EncodesByItsDefinition) {
  for (const float top : {1.0F, 15.0F, 255.0F}) {
    for (const float scale : {0.5F, 0.037F, 1e-30F}) {
      const std::vector<float> numbers = difficult_numbers(scale);
      for (const UniformGrid& grid :
           {UniformGrid{scale, 0.0F, top, false}, UniformGrid{scale, std::floor(top / 2.0F), top, false},
            UniformGrid{scale, top, top, false}, UniformGrid{scale, 0.4F * top, top, true},
            UniformGrid{scale, -2.0F * top, top, true}, UniformGrid{scale, 2.0F * top, top, true}}) {
        std::vector<std::uint8_t> codes(numbers.size());
        encode_uniform(numbers.data(), static_cast<std::int64_t>(numbers.size()), grid, codes.data());
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          ASSERT_EQ(codes[i], code_of(numbers[i], grid))
              << numbers[i] << " on scale " << scale << ", zero " << grid.zero << ", top " << top;
        }
      }
    }
  }
}

TEST(UniformGrid, EncodesGroupsOfAnyLength) {
  const UniformGrid grid{0.037F, 7.0F, 15.0F, false};
  const std::vector<float> numbers = difficult_numbers(grid.scale);
  for (std::int64_t count = 0; count <= 130; ++count) {
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(count) + 1, 99);
    encode_uniform(numbers.data(), count, grid, codes.data());
    for (std::size_t i = 0; i + 1 < codes.size(); ++i) ASSERT_EQ(codes[i], code_of(numbers[i], grid)) << count;
    EXPECT_EQ(codes.back(), 99) << count;
  }
}

TEST(UniformGrid, FindsTheExtremesOfAnyNumbers) {
  const std::vector<float> numbers = difficult_numbers(0.5F);
  for (std::int64_t first = 0; first < 40; ++first) {
    for (std::int64_t count = 0; count <= 40; ++count) {
      const Extremes found = extremes_with_zero(numbers.data() + first, count);
      float low = 0.0F;
      float high = 0.0F;
      for (std::int64_t i = first; i < first + count; ++i) {
        low = std::min(low, numbers[static_cast<std::size_t>(i)]);
        high = std::max(high, numbers[static_cast<std::size_t>(i)]);
      }
      ASSERT_EQ(found.low, low) << first << " " << count;
      ASSERT_EQ(found.high, high) << first << " " << count;
    }
  }
}

// Zeros too, whose errors are -0 on a negative scale (`sym_full_signed`): they count nothing.
TEST(UniformGrid, ApproximatesErrorsByTheirDefinition) {
  const Random random(9, "numbers");
  std::vector<float> numbers;
  for (std::uint64_t i = 0; i < 70; ++i) {
    numbers.push_back(i % 3 == 0 ? 0.0F : static_cast<float>(2.0 * random.uniform(i) - 1.0));
  }
  for (const float scale : {0.11F, -0.11F}) {
    const UniformGrid grid{scale, 8.0F, 15.0F, false};
    for (const float norm : {1.0F, 2.0F, 2.4F}) {
      double sum = 0.0;
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const float decoded = scale * (static_cast<float>(code_of(numbers[i], grid)) - grid.zero);
        sum += std::pow(std::abs(static_cast<double>(decoded) - static_cast<double>(numbers[i])) * 1.25, norm);
        const float found = approximate_error(numbers.data(), static_cast<std::int64_t>(i) + 1, grid, 1.25F, norm);
        ASSERT_NEAR(found, sum, 1e-5 * sum + 1e-30) << i << " scale " << scale << " norm " << norm;
      }
    }
  }
}

}  // namespace
}  // namespace lowbit
