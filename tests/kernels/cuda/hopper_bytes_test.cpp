#include "kernels/cuda/hopper_bytes.h"

#include <gtest/gtest.h>

#include "../guarded.h"
#include "../kernel_cases.h"
#include "golden_operands.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/quantize.h"
#include "on_device.h"
#include "test_launcher.h"

// Hopper's kernel of bytes on the model of a GPU, against the CPU's bits.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using kernels::testing::make_input;
using kernels::testing::make_weight;
using kernels::testing::WeightCase;
using testing::EmulatedThread;
using testing::GroupThread;
using testing::OnDevice;
using testing::TestLauncher;

TEST(CudaGroupBytes, EqualCuTes) {
  testing::GoldenOperands{"cuda_group_bytes.txt", "8", 1, kLineBytes, element_of_group_a8, byte_operand_offset}.check(
      128 * 16 + 128 * 8 + 64 * 32 + 3);
}

// A lane's register holds four columns of a row; the operand's depth of that register must hold the same four.
TEST(CudaGroupBytes, MeetTheColumnsOfPackedCodes) {
  for (int column = 0; column < kChunkSteps * kStepColumns; ++column) {
    const Field field = field_of(8, column / kStepColumns, 0, column % kStepColumns);
    const int byte = field.word % 4 * 4 + field.shift / 8;  // of the lane's sixteen of a step
    const int depth = column / kByteDepth * kByteDepth + element_of_a8(field.lane, byte).column;
    const int place = column / 4 * 4 + byte_of_column(column % 4);  // where `Quantize` puts it
    EXPECT_EQ(place_of_byte_depth(depth), place) << "column " << column;
  }
}

struct Arranged {
  std::vector<std::int8_t> bytes;
  std::vector<std::int32_t> totals;
};

Arranged arrange(const Matrix& weight, const std::vector<std::int8_t>& bytes, const std::vector<std::int32_t>& sums,
                 int tokens) {
  const int block = hopper_byte_tokens(tokens);
  Arranged result = {std::vector<std::int8_t>(static_cast<std::size_t>(laid_out_size(weight, tokens, block)), 77),
                     std::vector<std::int32_t>(static_cast<std::size_t>(tokens), -1)};
  Guarded<std::int8_t> from(bytes.size(), Guarded<std::int8_t>::Side::kEnd);
  from.assign(bytes.data());
  const ByteOperandCall call = {from.data(),         tokens,      weight.steps,
                                block,               result.bytes.data(), sums.data(),
                                static_cast<std::int32_t>(sums.size()) / tokens, result.totals.data()};
  TestLauncher<EmulatedThread> launcher{7};
  EXPECT_TRUE(dispatch_arrange_bytes(call, launcher));
  return result;
}

TEST(CudaByteArrangement, PutsEveryNumberAtItsPlace) {
  Matrix weight{};
  weight.steps = 9;  // three are lacking of the last chunk
  for (const int tokens : {3, 70, 130, 257}) {
    const int width = weight.steps * kStepColumns;
    std::vector<std::int8_t> input(static_cast<std::size_t>(tokens * width));
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::int8_t>(i % 251 - 125);
    std::vector<std::int32_t> sums;
    for (int i = 0; i < 3 * tokens; ++i) sums.push_back(i % 7 - 1000 * i);
    const auto [found, totals] = arrange(weight, input, sums, tokens);
    for (int token = 0; token < tokens; ++token) {
      const auto at = sums.begin() + 3 * token;
      EXPECT_EQ(totals[static_cast<std::size_t>(token)], at[0] + at[1] + at[2]);
    }
    const int block = hopper_byte_tokens(tokens);
    for (int token = 0; token < (tokens + block - 1) / block * block; ++token) {
      for (int depth = 0; depth < chunks_of(weight) * 128; ++depth) {
        const auto at = std::int64_t{token / block * chunks_of(weight) + depth / 128} * block * 128 +
                        byte_operand_offset(block, token % block, depth % 128);
        const int place = depth / 128 * 128 + place_of_byte_depth(depth % 128);
        const bool present = token < tokens && place < width;
        ASSERT_EQ(found[static_cast<std::size_t>(at)],
                  present ? input[static_cast<std::size_t>(token * width + place)] : 0)
            << "token " << token << ", depth " << depth;
      }
    }
  }
}

struct Product {
  std::vector<float> bias;
  std::uint64_t seed = 1;
  int workers = 1;
};

std::vector<float> run(const Packed& packed, const std::vector<float>& input, int tokens, const Product& settings) {
  const OnDevice device(packed);
  const Matrix& matrix = device.matrix();
  const auto many = static_cast<std::size_t>(tokens);
  const auto runs = static_cast<std::size_t>(runs_of(matrix.groups, matrix.group_steps));
  std::vector<std::int8_t> bytes(many * static_cast<std::size_t>(matrix.steps) * kStepColumns);
  std::vector<float> scales(many);
  std::vector<std::int32_t> sums(many * runs);
  const QuantizeCall quantize = {
      input.data(), NumberKind::kFloat32, matrix.columns,     tokens,       matrix.columns, nullptr,
      matrix.steps, matrix.groups,        matrix.group_steps, bytes.data(), scales.data(),  sums.data()};
  TestLauncher<EmulatedThread> rounding{settings.seed};
  EXPECT_TRUE(dispatch_quantize<1>(quantize, rounding));
  const auto [arranged, totals] = arrange(matrix, bytes, sums, tokens);
  Guarded<std::int8_t> x(arranged.size(), Guarded<std::int8_t>::Side::kEnd);
  x.assign(arranged.data());
  const HopperSchedule schedule = HopperSchedule::bytes(matrix, tokens, 132, settings.workers);
  std::vector<std::int32_t> partials(static_cast<std::size_t>(schedule.sums), -7);
  std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(schedule.arrivals), 0);
  std::vector<float> y(many * static_cast<std::size_t>(matrix.rows), std::nanf(""));
  const float* bias = settings.bias.empty() ? nullptr : settings.bias.data();
  const IntegerProduct call = {matrix,
                               x.data(),
                               scales.data(),
                               totals.data(),
                               tokens,
                               {y.data(), matrix.rows, NumberKind::kFloat32, bias, nullptr, 0},
                               schedule.stream,
                               partials.data(),
                               arrivals.data()};
  TestLauncher<GroupThread> launcher{settings.seed};
  EXPECT_TRUE(dispatch_hopper_bytes<8>(call, launcher));
  EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
  return y;
}

void expect_bits(const WeightCase& c, int tokens, std::uint64_t seed = 1, int workers = 1) {
  const PackedWeight weight = PackedWeight::pack(make_weight(c).view());
  const std::vector<float> input = make_input(tokens, c.columns);
  const kernels::testing::Bits expected = kernels::testing::run_product(weight, Arithmetic::kInt8, input, "reference");
  const kernels::testing::Bits found{run(pack(weight), input, tokens, {{}, seed, workers})};
  EXPECT_TRUE(found == expected) << c << ", " << tokens << " tokens, seed " << seed;
}

TEST(CudaHopperBytes, GivesTheCpusBits) {
  for (const std::int64_t columns : {1, 31, 129, 576, 1200}) expect_bits({17, columns, 4096, 8}, 3);
  expect_bits({150, 300, 4096, 8, Decoding::kWholeZero, true, ScaleStorage::kFloat32}, 65);
  expect_bits({40, 264, 4096, 8, Decoding::kWholeZero, false, ScaleStorage::kBFloat16}, 130);
}

// More chunks than there are stages, an even number and an odd one, of every size of block; a block of rows whose
// neighbour the matrix lacks.
TEST(CudaHopperBytes, UsesItsStagesAgain) {
  for (const std::uint64_t seed : {1U, 2U}) {
    expect_bits({33, 1280, 4096, 8}, 64, seed);
    expect_bits({150, 1152, 4096, 8}, 100, seed);
    expect_bits({300, 1024, 4096, 8}, 257, seed);
  }
}

TEST(CudaHopperBytes, AddsShares) {
  for (const int workers : {2, 5, 7}) expect_bits({300, 1184, 4096, 8}, 33, 1, workers);
  expect_bits({600, 300, 4096, 8}, 600, 1, 4);
}

TEST(CudaHopperBytes, AddsABias) {
  const WeightCase c = {30, 200, 4096, 8};
  const Packed packed = pack(PackedWeight::pack(make_weight(c).view()));
  const std::vector<float> input = make_input(2, c.columns);
  std::vector<float> expected = run(packed, input, 2, {});
  std::vector<float> bias;
  for (int row = 0; row < 30; ++row) bias.push_back(static_cast<float>(row) - 7.5F);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += bias[i % 30];
  EXPECT_EQ(run(packed, input, 2, {bias}), expected);
}

struct AnyWidths {
  static bool arrange_bytes(const ByteOperandCall&, const Launch&, Report*) { return true; }
  static bool hopper_bytes(const IntegerProduct&, const Launch&, Report*) { return true; }
};

TEST(CudaHopperBytes, SaysWhatItLacks) {
  using Functions = Checked<AnyWidths>;
  const Launch launch{};
  const float table[256] = {};
  IntegerProduct call{};
  call.weight.bits = 8;
  call.weight.groups = 1;
  call.tokens = 3;
  call.stream.workers = 1;
  const auto refusal_of = [&](const IntegerProduct& product) {
    Report report{};
    const bool taken = Functions::hopper_bytes(&product, &launch, &report);
    EXPECT_EQ(taken, report.failure == Failure::kNone);
    return std::string(report.text);
  };
  EXPECT_EQ(refusal_of(call), "");
  IntegerProduct other = call;
  other.weight.bits = 4;
  EXPECT_EQ(refusal_of(other), "the kernel of bytes for Hopper takes 8 bits");
  other = call;
  other.weight.groups = 2;
  EXPECT_EQ(refusal_of(other), "the kernel of bytes for Hopper takes one group a row");
  other = call;
  other.weight.table = table;
  EXPECT_EQ(refusal_of(other), "a table has no integer product");
  other = call;
  other.stream.workers = 0;
  EXPECT_EQ(refusal_of(other), "a product for Hopper has no workers");
  const ByteOperandCall arrange = {nullptr, 65, 1, 64, nullptr, nullptr, 0, nullptr};
  Report report{};
  EXPECT_FALSE(Functions::arrange_bytes(&arrange, &launch, &report));
  EXPECT_STREQ(report.text, "integers are laid out for blocks of another number of tokens");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
