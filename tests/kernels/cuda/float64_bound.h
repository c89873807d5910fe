#pragma once

#include <gtest/gtest.h>

#include "../kernel_cases.h"
#include "../oracle.h"
#include "kernels/cuda/decode.h"

// Products of 16-bit activations held to float64.
namespace lowbit::kernels::cuda::testing {

using kernels::testing::Oracle;
using kernels::testing::WeightCase;

template <typename Number>
std::vector<std::uint16_t> as_numbers(const std::vector<float>& values) {
  std::vector<std::uint16_t> result;
  for (const float value : values) {
    result.push_back(std::is_same_v<Number, Float16> ? as_half(value) : as_bfloat16(value));
  }
  return result;
}

// The model's tensor cores round each sum of 16 products once, and every group's sum is rounded once more when it is
// scaled. With n roundings of 2^-24 the error is at most n 2^-24 times the sum of |x w|, here for n columns and as many
// terms as a weight is made of, which leave a part `left_over` of it. Where weights are rounded to 16 bits, the rounded
// ones are what is multiplied.
template <typename Number>
void expect_close(const std::vector<float>& found, const UnpackedWeight& weight,
                  const std::vector<std::uint16_t>& input, int tokens, const WeightCase& c, int terms = 1,
                  double left_over = 0, bool rounded = false) {
  const Oracle oracle(weight);
  for (int t = 0; t < tokens; ++t) {
    for (std::int64_t r = 0; r < c.rows; ++r) {
      double sum = 0.0;
      double magnitude = 0.0;
      for (std::int64_t k = 0; k < c.columns; ++k) {
        const double x = Number::to_float(input[static_cast<std::size_t>(t * c.columns + k)]);
        const auto w = static_cast<float>(oracle.weight(r, k));
        const double product = x * static_cast<double>(rounded ? Number::to_float(Number::from_float(w)) : w);
        sum += product;
        magnitude += std::fabs(product);
      }
      const double bound = ((terms * static_cast<double>(c.columns) + 4.0) * 0x1p-24 + left_over) * magnitude;
      const double value = found[static_cast<std::size_t>(t * c.rows + r)];
      ASSERT_LE(std::fabs(value - sum), bound) << c << ", token " << t << ", row " << r << ": " << value << " " << sum;
    }
  }
}

}  // namespace lowbit::kernels::cuda::testing
