#include "kernels/cuda/hopper_float8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "../guarded.h"
#include "../kernel_cases.h"
#include "e4m3_numbers.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/pack.h"
#include "on_device.h"
#include "test_launcher.h"

// Hopper's kernel of E4M3 on the model of a GPU, whose unit keeps 14 bits of a sum's largest term.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using kernels::testing::make_input;
using kernels::testing::WeightCase;
using testing::e4m3_numbers;
using testing::EmulatedThread;
using testing::GroupThread;
using testing::nearest_code;
using testing::OnDevice;
using testing::TestLauncher;

/// Codes of both sides with their scales.
struct Operands {
  std::int64_t rows;
  std::int64_t columns;
  int tokens;
  UnpackedWeight weight;
  std::vector<float> input;

  [[nodiscard]] double number(std::int64_t row, std::int64_t column) const {
    return static_cast<double>(e4m3_numbers()[weight.codes[static_cast<std::size_t>(row * columns + column)]]);
  }
  [[nodiscard]] std::vector<float> row_of(int token) const {
    const auto from = input.begin() + token * columns;
    return {from, from + columns};
  }
};

struct Sums {
  double exact = 0;
  double magnitude = 0;  // the sum of the terms' magnitudes
};

/// Of E4M3 weights: `code(engine)` for each, scales of `storage`.
template <typename Code>
UnpackedWeight make_weight(std::int64_t rows, std::int64_t columns, ScaleStorage storage, const Code& code) {
  WeightCase c = {rows, columns, 1 << 20, 8, Decoding::kTable, false, storage};
  UnpackedWeight weight = kernels::testing::make_weight(c);
  weight.table = e4m3_numbers();
  std::mt19937_64 engine(11);
  for (std::uint8_t& of_place : weight.codes) of_place = code(engine);
  return weight;
}

/// All codes but NaN on both sides: an input of one row's E4M3 numbers with 448 among them keeps them.
Operands any_codes(std::int64_t rows, std::int64_t columns, int tokens, ScaleStorage storage = ScaleStorage::kFloat16) {
  const auto draw = [](std::mt19937_64& engine) {
    const auto code = static_cast<std::uint8_t>(engine() >> 56);
    return static_cast<std::uint8_t>(code % 128 == 127 ? code - 64 : code);
  };
  Operands result = {rows, columns, tokens, make_weight(rows, columns, storage, draw), {}};
  std::mt19937_64 engine(5);
  for (std::int64_t i = 0; i < tokens * columns; ++i) result.input.push_back(e4m3_numbers()[draw(engine)]);
  for (int token = 0; token < tokens; ++token) result.input[static_cast<std::size_t>(token * columns)] = 448.0F;
  return result;
}

/// Whole numbers up to 8 times whole numbers up to 7, of which each token has one: their codes are 64 times as large,
/// and no sum of 128 columns needs more than 13 bits. Scales are powers of two, so that products are exact.
Operands whole_numbers(std::int64_t rows, std::int64_t columns, int tokens) {
  const auto draw = [](std::mt19937_64& engine) { return nearest_code(static_cast<float>(engine() % 17) - 8.0F); };
  Operands result = {rows, columns, tokens, make_weight(rows, columns, ScaleStorage::kFloat16, draw), {}};
  std::mt19937_64 engine(5);
  for (float& scale : result.weight.scales) scale = std::ldexp(1.0F, static_cast<int>(engine() % 5) - 6);
  for (std::int64_t i = 0; i < tokens * columns; ++i) {
    result.input.push_back(static_cast<float>(engine() % 15) - 7.0F);
  }
  for (int token = 0; token < tokens; ++token) {
    result.input[static_cast<std::size_t>(token * columns + token % columns)] = token % 2 == 0 ? 7.0F : -7.0F;
  }
  return result;
}

struct Settings {
  std::vector<float> bias = {};
  std::uint64_t seed = 1;
  int workers = 1;
  NumberKind kind = NumberKind::kFloat32;
};

template <typename T = float>
std::vector<T> run(const Operands& operands, const Settings& settings) {
  const OnDevice device(pack(PackedWeight::pack(operands.weight.view())));
  const Matrix& matrix = device.matrix();
  const int tokens = operands.tokens;
  const HopperSchedule schedule = HopperSchedule::float8(matrix, tokens, 132, settings.workers);
  // Tokens that there are not have NaN.
  Guarded<std::uint8_t> codes(static_cast<std::size_t>(laid_out_size(matrix, tokens, schedule.block_tokens)),
                              Guarded<std::uint8_t>::Side::kEnd);
  std::fill_n(codes.data(), codes.span().size(), 0x7F);
  std::vector<float> scales(static_cast<std::size_t>(tokens));
  RoundFloat8Call rounding{};
  rounding.input = operands.input.data();
  rounding.kind = NumberKind::kFloat32;
  rounding.stride = operands.columns;
  rounding.tokens = tokens;
  rounding.columns = static_cast<std::int32_t>(operands.columns);
  rounding.steps = matrix.steps;
  rounding.scales = scales.data();
  rounding.codes = codes.data();
  rounding.block_tokens = schedule.block_tokens;
  TestLauncher<EmulatedThread> rounder{settings.seed};
  EXPECT_TRUE(dispatch_round_float8(rounding, rounder));

  std::vector<float> partials(static_cast<std::size_t>(schedule.sums), -7);
  std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(schedule.arrivals), 0);
  std::vector<T> y(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(matrix.rows), static_cast<T>(0x7FFF));
  const float* bias = settings.bias.empty() ? nullptr : settings.bias.data();
  const Float8Product call = {matrix,
                              codes.data(),
                              scales.data(),
                              tokens,
                              {y.data(), matrix.rows, settings.kind, bias, nullptr, 0},
                              schedule.stream,
                              partials.data(),
                              arrivals.data()};
  TestLauncher<GroupThread> launcher{settings.seed};
  EXPECT_TRUE(dispatch_hopper_float8(call, launcher));
  EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
  return y;
}

// `check(found, sums of the terms with both scales, what is said of a fault)` for every output.
template <typename Check>
void for_outputs(const Operands& operands, const std::vector<float>& found, const Check& check) {
  for (int token = 0; token < operands.tokens; ++token) {
    const std::vector<float> input = operands.row_of(token);
    float largest = 0;
    for (const float x : input) largest = std::max(largest, std::fabs(x));
    const float token_scale = largest / 448.0F;
    std::vector<double> rounded;
    for (const float x : input) {
      const float code = e4m3_numbers()[nearest_code(x / token_scale)];
      rounded.push_back(static_cast<double>(code) * static_cast<double>(token_scale));
    }
    for (std::int64_t row = 0; row < operands.rows; ++row) {
      const auto scale = static_cast<double>(operands.weight.scales[static_cast<std::size_t>(row)]);
      Sums sums;
      for (std::int64_t k = 0; k < operands.columns; ++k) {
        const double term = rounded[static_cast<std::size_t>(k)] * operands.number(row, k) * scale;
        sums.exact += term;
        sums.magnitude += std::fabs(term);
      }
      const auto value = static_cast<double>(found[static_cast<std::size_t>(token * operands.rows + row)]);
      check(value, sums, ::testing::Message() << "token " << token << ", row " << row);
    }
  }
}

void expect_exact(const Operands& operands, const Settings& settings = {}) {
  const std::vector<float> found = run(operands, settings);
  SCOPED_TRACE(::testing::Message() << operands.rows << " x " << operands.columns << ", " << operands.tokens
                                    << " tokens, seed " << settings.seed << ", workers " << settings.workers);
  for_outputs(operands, found, [](double value, const Sums& sums, const ::testing::Message& place) {
    ASSERT_EQ(value, sums.exact) << place;
  });
}

TEST(CudaHopperFloat8, AddsWholeNumbersExactly) {
  for (const std::int64_t columns : {1, 31, 129, 576, 577, 1200}) expect_exact(whole_numbers(17, columns, 3));
  expect_exact(whole_numbers(150, 300, 65));
  expect_exact(whole_numbers(40, 264, 130));
}

// More chunks than there are stages, an even number and an odd one, of every size of block; a block of rows whose
// neighbour the matrix lacks.
TEST(CudaHopperFloat8, UsesItsStagesAgain) {
  for (const std::uint64_t seed : {1U, 2U}) {
    expect_exact(whole_numbers(33, 1280, 64), {{}, seed});
    expect_exact(whole_numbers(150, 1152, 100), {{}, seed});
    expect_exact(whole_numbers(300, 1024, 257), {{}, seed});
  }
}

TEST(CudaHopperFloat8, AddsShares) {
  for (const int workers : {2, 5, 7}) expect_exact(whole_numbers(300, 1184, 33), {{}, 1, workers});
  expect_exact(whole_numbers(600, 300, 600), {{}, 1, 4});
}

// By what the class says of the unit, and a rounding of 2^-24 for each chunk, each scale and each share.
TEST(CudaHopperFloat8, StaysWithinItsBound) {
  for (const int tokens : {1, 64, 70, 300}) {
    const ScaleStorage storage = tokens == 70 ? ScaleStorage::kBFloat16 : ScaleStorage::kFloat32;
    const Operands operands = any_codes(75, 576, tokens, storage);
    const std::vector<float> found = run(operands, {{}, 1, tokens == 70 ? 3 : 1});
    const double chunks = 5;
    double worst = 0;
    for_outputs(operands, found, [&](double value, const Sums& sums, const ::testing::Message& place) {
      const double bound = (132 * 0x1p-13 + (2 * chunks + 8) * 0x1p-24) * sums.magnitude;
      ASSERT_LE(std::fabs(value - sums.exact), bound) << place;
      worst = std::max(worst, std::fabs(value - sums.exact) / sums.magnitude);
    });
    EXPECT_GT(worst, 0x1p-20) << "the model of the unit loses nothing";
  }
}

// A sum of 448 448 takes up ones no more once it is in the unit: those of its own chunk are lost at most.
TEST(CudaHopperFloat8, TakesUpTheSumsOfEachChunk) {
  Operands operands = {
      16,
      1280,
      2,
      make_weight(16, 1280, ScaleStorage::kFloat32, [](std::mt19937_64&) { return nearest_code(1.0F); }),
      {}};
  for (float& scale : operands.weight.scales) scale = 1;
  operands.input.assign(2 * 1280, 1.0F);
  for (const std::size_t token : {0U, 1U}) operands.input[token * 1280] = 448.0F;
  for (std::size_t row = 0; row < 16; ++row) operands.weight.codes[row * 1280] = nearest_code(448.0F);
  for_outputs(operands, run(operands, {}), [](double value, const Sums& sums, const ::testing::Message& place) {
    ASSERT_EQ(sums.exact, 448 * 448 + 1279);
    EXPECT_LE(value, sums.exact) << place;
    EXPECT_GE(value, sums.exact - 127) << place;
  });
}

TEST(CudaHopperFloat8, KeepsNansInTheirTokens) {
  Operands operands = whole_numbers(70, 300, 66);
  const std::vector<float> expected = run(operands, {});
  operands.input[3 * 300 + 17] = std::numeric_limits<float>::quiet_NaN();
  operands.input[65 * 300 + 299] = std::numeric_limits<float>::infinity();
  const std::vector<float> found = run(operands, {});
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t token = i / 70;
    if (token == 3 || token == 65) {
      EXPECT_TRUE(std::isnan(found[i])) << "token " << token;
    } else {
      EXPECT_EQ(found[i], expected[i]) << "token " << token;
    }
  }
}

// 144 rows go by fours, 150 do not.
TEST(CudaHopperFloat8, AddsABiasAndRoundsOnce) {
  for (const std::int64_t rows : {144, 150}) {
    const Operands operands = any_codes(rows, 200, 70);
    const std::vector<float> bias = make_input(1, rows);
    std::vector<float> wide = run(operands, {});
    for (std::size_t i = 0; i < wide.size(); ++i) wide[i] += bias[i % bias.size()];
    EXPECT_EQ(run(operands, {bias}), wide) << rows << " rows";
    for (const NumberKind kind : {NumberKind::kFloat16, NumberKind::kBFloat16}) {
      std::vector<std::uint16_t> expected;
      for (const float y : wide) expected.push_back(kind == NumberKind::kFloat16 ? as_half(y) : as_bfloat16(y));
      EXPECT_EQ(run<std::uint16_t>(operands, {bias, 1, 1, kind}), expected) << rows << " rows";
    }
  }
}

struct AnyWidths {
  static bool hopper_float8(const Float8Product&, const Launch&, Report*) { return true; }
};

TEST(CudaHopperFloat8, SaysWhatItLacks) {
  const float table[256] = {};
  Float8Product call{};
  call.weight.bits = 8;
  call.weight.groups = 1;
  call.weight.table = table;
  call.tokens = 3;
  call.stream.workers = 1;
  const auto refusal_of = [&](const Float8Product& product) {
    const Launch launch{};
    Report report{};
    const bool taken = Checked<AnyWidths>::hopper_float8(&product, &launch, &report);
    EXPECT_EQ(taken, report.failure == Failure::kNone);
    return std::string(report.text);
  };
  EXPECT_EQ(refusal_of(call), "");
  Float8Product other = call;
  other.weight.table = nullptr;
  EXPECT_EQ(refusal_of(other), "the kernel of E4M3 for Hopper takes a table of 8 bits");
  other = call;
  other.weight.bits = 4;
  EXPECT_EQ(refusal_of(other), "the kernel of E4M3 for Hopper takes a table of 8 bits");
  other = call;
  other.weight.groups = 2;
  EXPECT_EQ(refusal_of(other), "the kernel of E4M3 for Hopper takes one group a row");
  other = call;
  other.stream.workers = 0;
  EXPECT_EQ(refusal_of(other), "a product for Hopper has no workers");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
