#include "tensor/float_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/float_panels.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::ThreadCount;

std::vector<float> normals(std::int64_t count, const char* name) {
  const Random random(11, name);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return values;
}

struct Case {
  std::int64_t rows, columns, depth;
  bool bias;
};

// Whole tiles and ragged ones, one depth block and several, one wave of rows or columns and several.
const Case kCases[] = {{6, 16, 8, false},     {1, 1, 1, true},     {7, 17, 5, true},      {13, 33, 384, false},
                       {97, 401, 385, false}, {20, 48, 800, true}, {5, 3100, 2800, true}, {1160, 20, 2800, false},
                       {100, 192, 576, true}, {65, 95, 390, true}};

// The definition: one chain of fused multiply-adds.
float chain(const Case& shape, const std::vector<float>& x, const std::vector<float>& weight, float start,
            std::int64_t row, std::int64_t column) {
  float sum = start;
  for (std::int64_t k = 0; k < shape.depth; ++k) {
    sum = std::fma(x[static_cast<std::size_t>(row * shape.depth + k)],
                   weight[static_cast<std::size_t>(column * shape.depth + k)], sum);
  }
  return sum;
}

std::vector<float> product_of(const Case& shape, const std::vector<float>& x, const std::vector<float>& weight,
                              const std::vector<float>& bias) {
  std::vector<float> out(static_cast<std::size_t>(shape.rows * shape.columns), -1.0F);
  multiply({.x = x.data(),
            .weight = weight.data(),
            .bias = shape.bias ? bias.data() : nullptr,
            .out = out.data(),
            .rows = shape.rows,
            .columns = shape.columns,
            .depth = shape.depth});
  return out;
}

TEST(FloatProduct, IsOneChainOfFusedMultiplyAddsForEachElementWhateverTheShapeAndTheThreads) {
  if (!float_panels_available()) GTEST_SKIP() << "the processor lacks AVX2";
  for (const Case& shape : kCases) {
    const std::vector<float> x = normals(shape.rows * shape.depth, "x");
    const std::vector<float> weight = normals(shape.columns * shape.depth, "weight");
    const std::vector<float> bias = normals(shape.columns, "bias");
    const ThreadCount two(2);
    const std::vector<float> out = product_of(shape, x, weight, bias);
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      for (std::int64_t column = 0; column < shape.columns; ++column) {
        const float start = shape.bias ? bias[static_cast<std::size_t>(column)] : 0.0F;
        ASSERT_EQ(out[static_cast<std::size_t>(row * shape.columns + column)],
                  chain(shape, x, weight, start, row, column))
            << shape.rows << " x " << shape.columns << " x " << shape.depth << " at " << row << ", " << column;
      }
    }
    const ThreadCount one(1);
    EXPECT_EQ(product_of(shape, x, weight, bias), out);
  }
}

TEST(FloatProduct, KeepsWhatIsNotFiniteInItsOwnRowAndColumn) {
  if (!float_panels_available()) GTEST_SKIP() << "the processor lacks AVX2";
  const Case shape{8, 20, 10, false};
  std::vector<float> x = normals(shape.rows * shape.depth, "x");
  const std::vector<float> weight = normals(shape.columns * shape.depth, "weight");
  x[static_cast<std::size_t>(7 * shape.depth + 3)] = std::nanf("");
  const std::vector<float> out = product_of(shape, x, weight, {});
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t column = 0; column < shape.columns; ++column) {
      EXPECT_EQ(std::isnan(out[static_cast<std::size_t>(row * shape.columns + column)]), row == 7);
    }
  }
}

}  // namespace
}  // namespace lowbit
