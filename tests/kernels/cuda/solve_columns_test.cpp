#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/cuda/report.h"
#include "kernels/cuda/solve_columns_dispatch.h"
#include "step_numbers.h"

// Columns solved on the model of a GPU, against the algorithm's lines one after the other and against float64.
namespace lowbit::kernels::cuda {
namespace {

using testing::count_of;
using testing::Numbers;

struct Launchers {
  static testing::Seeded make(const Launch& launch, Report*) {
    return {launch.stream == nullptr ? 1 : *static_cast<const std::uint64_t*>(launch.stream)};
  }
};

struct Case {
  int rows;
  int columns;
  int bits = 4;
  bool real_zeros = false;
  int group = 32;
  bool carries = false;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.rows << " x " << c.columns << ", " << c.bits << " bits, groups of " << c.group
       << (c.real_zeros ? ", real zeros" : "") << (c.carries ? ", carried" : "");
}

// Some columns of a layer whose memory ends where nobody may read. The factor is part of a larger one.
class Columns {
 public:
  explicit Columns(const Case& of)
      : shape(of),
        stride(of.columns + 3),
        groups((of.columns + of.group - 1) / of.group),
        weights(count_of(of.columns, of.rows), "weights"),
        upper(count_of(of.columns - 1, stride) + count_of(of.columns, 1), "upper", 0.04),
        scales(count_of(groups, of.rows)),
        zeros(count_of(groups, of.rows)),
        group_of(count_of(of.columns, 1)),
        codes(count_of(of.columns, of.rows)),
        carry(upper.span().size(), "carry", 0.02),
        carried(count_of(of.columns, of.rows)),
        values(count_of(of.columns, of.rows)) {
    const Random random(9, "parameters");
    for (std::size_t i = 0; i < scales.span().size(); ++i) {
      scales.data()[i] = static_cast<float>(0.1 + 0.2 * random.uniform(2 * i));
      const auto zero = static_cast<float>((1 << of.bits) * random.uniform(2 * i + 1));
      zeros.data()[i] = of.real_zeros ? zero : std::floor(zero);
    }
    for (int j = 0; j < of.columns; ++j) {
      group_of.data()[j] = (groups - 1) - j / of.group;  // any order
      upper.data()[j * stride + j] = static_cast<float>(0.5 + random.uniform(static_cast<std::uint64_t>(j)));
    }
    for (int j = 0; j < of.columns; ++j) carry.data()[j * stride + j] = 0;
    original = weights.copy();
  }

  [[nodiscard]] SolveColumnsCall call() {
    return {weights.data(),
            upper.data(),
            scales.data(),
            zeros.data(),
            group_of.data(),
            codes.data(),
            stride,
            shape.rows,
            shape.columns,
            (1 << shape.bits) - 1,
            shape.real_zeros,
            shape.carries ? carry.data() : nullptr,
            shape.carries ? carried.data() : nullptr,
            shape.carries ? values.data() : nullptr};
  }
  [[nodiscard]] float carry_factor(int row, int column) {
    return shape.carries ? carry.data()[row * stride + column] : 0.0F;
  }
  [[nodiscard]] float factor(int row, int column) { return upper.data()[row * stride + column]; }
  [[nodiscard]] std::size_t parameters_at(int column, int row) { return at(group_of.data()[column], row); }
  [[nodiscard]] std::size_t at(int column, int row) const {
    return count_of(column, shape.rows) + static_cast<std::size_t>(row);
  }

  Case shape;
  int stride;
  int groups;
  Numbers<float> weights;
  Numbers<float> upper;
  Numbers<float> scales;
  Numbers<float> zeros;
  Numbers<std::int32_t> group_of;
  Numbers<std::uint8_t> codes;
  Numbers<float> carry;
  Numbers<float> carried;
  Numbers<float> values;
  std::vector<float> original;
};

void solve(Columns& columns, std::uint64_t seed) {
  const SolveColumnsCall call = columns.call();
  const Launch launch = {&seed, 0};
  Report report{};
  ASSERT_TRUE(checked_solve_columns<Launchers>(&call, &launch, &report)) << report.text;
}

// A row by the lines of the algorithm, in float32 where each operation is rounded by itself.
struct Solved {
  std::vector<float> errors;
  std::vector<int> codes;
  std::vector<float> carried;
  std::vector<float> values;
};
Solved solve_row(Columns& columns, int row) {
  std::vector<float> left;
  for (int j = 0; j < columns.shape.columns; ++j) left.push_back(columns.original[columns.at(j, row)]);
  Solved result;
  for (int j = 0; j < columns.shape.columns; ++j) {
    const auto column = static_cast<std::size_t>(j);
    const float scale = columns.scales.data()[columns.parameters_at(j, row)];
    const float zero = columns.zeros.data()[columns.parameters_at(j, row)];
    float code = left[column] / scale;
    code = columns.shape.real_zeros ? std::nearbyint(code + zero) : std::nearbyint(code) + zero;
    code = std::clamp(code, 0.0F, static_cast<float>((1 << columns.shape.bits) - 1));
    const float difference = code - zero;
    const float value = scale * difference;
    const float error = (left[column] - value) / columns.factor(j, j);
    result.codes.push_back(static_cast<int>(code));
    result.errors.push_back(error);
    result.carried.push_back(left[column]);
    result.values.push_back(value);
    for (int k = j + 1; k < columns.shape.columns; ++k) {
      float& behind = left[static_cast<std::size_t>(k)];
      behind = std::fma(-error, columns.factor(j, k), behind);
      if (columns.shape.carries) behind = std::fma(left[column], columns.carry_factor(j, k), behind);
    }
  }
  return result;
}

class CudaSolveColumns : public ::testing::TestWithParam<Case> {};

TEST_P(CudaSolveColumns, HasTheBitsOfTheAlgorithmInAnyOrderOfThreads) {
  Columns columns(GetParam());
  solve(columns, 1);
  for (int row = 0; row < columns.shape.rows; ++row) {
    const Solved expected = solve_row(columns, row);
    for (int j = 0; j < columns.shape.columns; ++j) {
      ASSERT_EQ(columns.codes.data()[columns.at(j, row)], expected.codes[static_cast<std::size_t>(j)])
          << "row " << row << ", column " << j;
      ASSERT_EQ(columns.weights.data()[columns.at(j, row)], expected.errors[static_cast<std::size_t>(j)])
          << "row " << row << ", column " << j;
      if (!columns.shape.carries) continue;
      ASSERT_EQ(columns.carried.data()[columns.at(j, row)], expected.carried[static_cast<std::size_t>(j)]);
      ASSERT_EQ(columns.values.data()[columns.at(j, row)], expected.values[static_cast<std::size_t>(j)]);
    }
  }
  Columns again(GetParam());
  solve(again, 7);
  EXPECT_EQ(again.codes.copy(), columns.codes.copy());
  EXPECT_EQ(again.weights.copy(), columns.weights.copy());
}

// What columns are left with in float64, given the codes: the kernel takes the nearest of it, but for its roundings,
// of which a weight goes through two at most for each column before it and three of its own.
TEST_P(CudaSolveColumns, TakesTheNearestCodesOfWhatFloat64IsLeftWith) {
  Columns columns(GetParam());
  solve(columns, 1);
  const int top = (1 << columns.shape.bits) - 1;
  for (int row = 0; row < columns.shape.rows; ++row) {
    std::vector<double> errors;
    std::vector<double> doubts;  // how far each may be off
    std::vector<double> carried;
    std::vector<double> carried_doubts;
    for (int j = 0; j < columns.shape.columns; ++j) {
      const double scale = static_cast<double>(columns.scales.data()[columns.parameters_at(j, row)]);
      const double zero = static_cast<double>(columns.zeros.data()[columns.parameters_at(j, row)]);
      double left = static_cast<double>(columns.original[columns.at(j, row)]);
      double magnitude = std::abs(left);
      double doubt = 0;
      for (int i = 0; i < j; ++i) {
        const auto factor = static_cast<double>(columns.factor(i, j));
        left -= errors[static_cast<std::size_t>(i)] * factor;
        magnitude = std::max(magnitude, std::abs(left));
        doubt += doubts[static_cast<std::size_t>(i)] * std::abs(factor);
        const auto carry = static_cast<double>(columns.carry_factor(i, j));
        left += carried[static_cast<std::size_t>(i)] * carry;
        magnitude = std::max(magnitude, std::abs(left));
        doubt += carried_doubts[static_cast<std::size_t>(i)] * std::abs(carry);
      }
      carried.push_back(left);
      carried_doubts.push_back(doubt + (2 * j + 3) * magnitude * 0x1p-23);
      const int code = columns.codes.data()[columns.at(j, row)];
      const double value = scale * (code - zero);
      magnitude = std::max(magnitude, std::abs(value));
      doubt += (2 * j + 3) * magnitude * 0x1p-23;
      const double wanted = std::clamp(left / scale + zero, 0.0, static_cast<double>(top));
      ASSERT_LE(std::abs(wanted - code), 0.5 + doubt / scale + 0x1p-16) << "row " << row << ", column " << j;
      const auto diagonal = static_cast<double>(columns.factor(j, j));
      errors.push_back((left - value) / diagonal);
      doubts.push_back(doubt / diagonal);
      ASSERT_NEAR(static_cast<double>(columns.weights.data()[columns.at(j, row)]), errors.back(), doubts.back())
          << "row " << row << ", column " << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, CudaSolveColumns,
                         ::testing::Values(Case{1, 1}, Case{64, 16}, Case{65, 17}, Case{130, 128},
                                           Case{63, 127, 2, false, 128}, Case{70, 100, 8, false, 1},
                                           Case{5, 33, 3, true, 7}, Case{66, 128, 4, true, 64},
                                           Case{65, 17, 4, false, 32, true}, Case{70, 64, 3, false, 64, true},
                                           Case{3, 50, 4, true, 5, true}));

std::string refusal_of(const SolveColumnsCall& call) {
  Report report{};
  const Launch launch = {nullptr, 0};
  EXPECT_FALSE(checked_solve_columns<Launchers>(&call, &launch, &report));
  EXPECT_EQ(report.failure, Failure::kArgument);
  return report.text;
}

TEST(CudaSolveColumnsCall, SaysWhatItDoesNotTake) {
  Columns columns({3, 5});
  SolveColumnsCall call = columns.call();
  for (const int count : {0, 129}) {
    call.columns = count;
    call.upper_stride = 200;
    EXPECT_EQ(refusal_of(call), "columns are solved 1 to 128 at a time, 64 if carried, with as many of the factor's");
  }
  call.columns = 5;
  call.upper_stride = 4;
  EXPECT_EQ(refusal_of(call), "columns are solved 1 to 128 at a time, 64 if carried, with as many of the factor's");
  call.upper_stride = 5;
  call.carry = columns.carry.data();
  call.columns = 65;
  call.upper_stride = 65;
  EXPECT_EQ(refusal_of(call), "columns are solved 1 to 128 at a time, 64 if carried, with as many of the factor's");
  call.columns = 5;
  EXPECT_EQ(refusal_of(call), "there is no room for what is carried");
  call.top = 256;
  EXPECT_EQ(refusal_of(call), "codes of columns are bytes");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
