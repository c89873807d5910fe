#include "tensor/product_update.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "tensor/float_panels.h"
#include "tensor/normals.h"

namespace lowbit {
namespace {

using testing::normals;

constexpr std::int64_t kGap = 3;  // between the rows of each matrix

template <typename Number>
Number step(Number a, Number b, Number sum) {
  return float_panels_available() ? std::fma(-a, b, sum) : sum - a * b;
}

// Every element against the definition, bit by bit; what lies between the rows stays.
template <typename Number>
void expect_chains(std::int64_t rows, std::int64_t columns, std::int64_t depth, bool transposed) {
  const std::int64_t left_columns = transposed ? rows : depth;
  UpdateShape shape{rows, columns, depth, columns + kGap, left_columns + kGap, columns + kGap};
  const auto left = normals<Number>((transposed ? depth : rows) * shape.left_stride, "left");
  const auto right = normals<Number>(depth * shape.right_stride, "right");
  const auto before = normals<Number>(rows * shape.target_stride, "target");
  auto target = before;
  if constexpr (sizeof(Number) == sizeof(double)) {
    (transposed ? subtract_transposed_products
                : static_cast<decltype(&subtract_transposed_products)>(subtract_products))(target.data(), left.data(),
                                                                                           right.data(), shape);
  } else {
    subtract_products(target.data(), left.data(), right.data(), shape);
  }
  const auto number = [](const auto& numbers, std::int64_t place) { return numbers[static_cast<std::size_t>(place)]; };
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < shape.target_stride; ++c) {
      Number expected = number(before, r * shape.target_stride + c);
      for (std::int64_t k = 0; c < columns && k < depth; ++k) {
        const std::int64_t place = transposed ? k * shape.left_stride + r : r * shape.left_stride + k;
        expected = step(number(left, place), number(right, k * shape.right_stride + c), expected);
      }
      ASSERT_EQ(number(target, r * shape.target_stride + c), expected)
          << rows << " x " << columns << ", depth " << depth << ", at " << r << ", " << c;
    }
  }
}

// Below and above what is worth packing, beside tiles, and beyond what is packed at a time.
TEST(ProductUpdate, SubtractsOneProductAfterTheOther) {
  for (const std::int64_t rows : {1, 5, 6, 48, 199}) {
    for (const std::int64_t columns : {1, 7, 8, 33, 300}) {
      for (const std::int64_t depth : {1, 7, 8, 150}) {
        expect_chains<float>(rows, columns, depth, false);
        expect_chains<double>(rows, columns, depth, false);
        expect_chains<double>(rows, columns, depth, true);
      }
    }
  }
}

TEST(ProductUpdate, LeavesTheTargetWhereNothingIsMultiplied) {
  expect_chains<float>(4, 20, 0, false);
  expect_chains<double>(0, 20, 9, false);
  expect_chains<double>(4, 0, 9, true);
}

}  // namespace
}  // namespace lowbit
