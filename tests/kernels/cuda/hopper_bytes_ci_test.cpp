#include "kernels/cuda/hopper_bytes.h"

#include <gtest/gtest.h>

#include <numeric>

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

// Rows of integers by themselves, and laid out for blocks of tokens.
struct Rounding {
  std::vector<std::int8_t> bytes;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
};

Rounding round(const Matrix& weight, const std::vector<float>& input, int tokens, bool laid_out, std::uint64_t seed) {
  const int block = laid_out ? hopper_byte_tokens(tokens) : 0;
  const auto many = static_cast<std::size_t>(tokens);
  const auto size = laid_out ? static_cast<std::size_t>(laid_out_size(weight, tokens, block))
                             : many * static_cast<std::size_t>(weight.steps) * kStepColumns;
  const auto runs = static_cast<std::size_t>(runs_of(weight.groups, weight.group_steps));
  Rounding result = {std::vector<std::int8_t>(size, 77), std::vector<float>(many),
                     std::vector<std::int32_t>(laid_out ? many : many * runs)};
  QuantizeCall call = {input.data(),         NumberKind::kFloat32,
                       weight.columns,       tokens,
                       weight.columns,       nullptr,
                       weight.steps,         weight.groups,
                       weight.group_steps,   result.bytes.data(),
                       result.scales.data(), result.sums.data()};
  if (laid_out) {
    call.sums = nullptr;
    call.block_tokens = block;
    call.totals = result.sums.data();
  }
  TestLauncher<EmulatedThread> launcher{seed};
  EXPECT_TRUE(dispatch_quantize<1>(call, launcher));
  return result;
}

TEST(CudaByteLayout, PutsEveryIntegerAtItsPlace) {
  for (int place = 0; place < 128; ++place) EXPECT_EQ(place_of_byte_depth(byte_depth_of_place(place)), place);
  Matrix weight{};
  weight.columns = 270;
  weight.steps = 9;  // three are lacking of the last chunk
  weight.groups = 1;
  weight.group_steps = 12;
  const int width = weight.steps * kStepColumns;
  for (const int tokens : {3, 70, 130, 257}) {
    const std::vector<float> input = make_input(tokens, weight.columns);
    const Rounding plain = round(weight, input, tokens, false, 3);
    const Rounding found = round(weight, input, tokens, true, 4);
    EXPECT_EQ(found.scales, plain.scales);
    const int block = hopper_byte_tokens(tokens);
    const int runs = runs_of(weight.groups, weight.group_steps);
    for (int token = 0; token < tokens; ++token) {
      const auto sums = plain.sums.begin() + runs * token;
      EXPECT_EQ(found.sums[static_cast<std::size_t>(token)], std::accumulate(sums, sums + runs, 0));
      for (int depth = 0; depth < chunks_of(weight) * 128; ++depth) {
        const auto at = std::int64_t{token / block * chunks_of(weight) + depth / 128} * block * 128 +
                        byte_operand_offset(block, token % block, depth % 128);
        const int place = depth / 128 * 128 + place_of_byte_depth(depth % 128);
        ASSERT_EQ(found.bytes[static_cast<std::size_t>(at)],
                  place < width ? plain.bytes[static_cast<std::size_t>(token * width + place)] : 0)
            << "token " << token << ", depth " << depth;
      }
    }
  }
}

struct Product {
  std::vector<float> bias;
  std::uint64_t seed = 1;
  int workers = 1;
  ByteKernel kernel = ByteKernel::kTogether;
  NumberKind kind = NumberKind::kFloat32;
};

template <typename T = float>
std::vector<T> run(const Packed& packed, const std::vector<float>& input, int tokens, const Product& settings) {
  const OnDevice device(packed);
  const Matrix& matrix = device.matrix();
  const Rounding rounding = round(matrix, input, tokens, true, settings.seed);
  Guarded<std::int8_t> x(rounding.bytes.size(), Guarded<std::int8_t>::Side::kEnd);
  x.assign(rounding.bytes.data());
  const HopperSchedule schedule = HopperSchedule::bytes(matrix, tokens, 132, settings.workers);
  std::vector<std::int32_t> partials(static_cast<std::size_t>(schedule.sums), -7);
  std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(schedule.arrivals), 0);
  std::vector<T> y(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(matrix.rows), static_cast<T>(0x7FFF));
  const float* bias = settings.bias.empty() ? nullptr : settings.bias.data();
  const IntegerProduct call = {matrix,
                               x.data(),
                               rounding.scales.data(),
                               rounding.sums.data(),
                               tokens,
                               {y.data(), matrix.rows, settings.kind, bias, nullptr, 0},
                               schedule.stream,
                               partials.data(),
                               arrivals.data()};
  TestLauncher<GroupThread> launcher{settings.seed};
  EXPECT_TRUE(dispatch_hopper_bytes<8>(settings.kernel, call, launcher));
  EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
  return y;
}

void expect_bits(const WeightCase& c, int tokens, std::uint64_t seed = 1, int workers = 1,
                 ByteKernel kernel = ByteKernel::kTogether) {
  const PackedWeight weight = PackedWeight::pack(make_weight(c).view());
  const std::vector<float> input = make_input(tokens, c.columns);
  const kernels::testing::Bits expected = kernels::testing::run_product(weight, Arithmetic::kInt8, input, "reference");
  const kernels::testing::Bits found{run(pack(weight), input, tokens, {{}, seed, workers, kernel})};
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

// Tiles that are shorter than the lag and longer, that lie at the matrix' end, by workers that make many in a row.
TEST(CudaHopperBytes, GivesTheSameBitsByTurns) {
  constexpr ByteKernel kTurns = ByteKernel::kTurns;
  for (const std::int64_t columns : {40, 1280}) {
    for (const std::uint64_t seed : {1U, 2U}) expect_bits({144, columns, 4096, 8}, 260, seed, 1, kTurns);
  }
  expect_bits({150, 576, 4096, 8, Decoding::kWholeZero, true, ScaleStorage::kFloat32}, 257, 1, 1, kTurns);
  for (const int workers : {2, 7}) expect_bits({600, 900, 4096, 8}, 600, 1, workers, kTurns);
}

// 144 rows go by lines, 150 do not.
TEST(CudaHopperBytes, RoundsOutputsOnceByTurns) {
  for (const std::int64_t rows : {144, 150}) {
    const WeightCase c = {rows, 300, 4096, 8};
    const Packed packed = pack(PackedWeight::pack(make_weight(c).view()));
    const std::vector<float> input = make_input(259, c.columns);
    Product settings = {make_input(1, rows), 1, 1, ByteKernel::kTurns};
    const std::vector<float> wide = run(packed, input, 259, settings);
    settings.kernel = ByteKernel::kTogether;
    EXPECT_EQ(wide, run(packed, input, 259, settings)) << rows << " rows";
    settings.kernel = ByteKernel::kTurns;
    for (const NumberKind kind : {NumberKind::kFloat16, NumberKind::kBFloat16}) {
      settings.kind = kind;
      std::vector<std::uint16_t> expected;
      for (const float y : wide) expected.push_back(kind == NumberKind::kFloat16 ? as_half(y) : as_bfloat16(y));
      EXPECT_EQ(run<std::uint16_t>(packed, input, 259, settings), expected) << rows << " rows";
    }
  }
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
  static bool quantize(int, const QuantizeCall&, const Launch&, Report*) { return true; }
  static bool hopper_bytes(ByteKernel, const IntegerProduct&, const Launch&, Report*) { return true; }
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
    const bool taken = Functions::hopper_bytes(ByteKernel::kTogether, &product, &launch, &report);
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
  QuantizeCall rounding{};
  rounding.tokens = 65;
  rounding.block_tokens = 64;
  const auto refusal_to_round = [&](int planes) {
    Report report{};
    EXPECT_FALSE(Functions::quantize(planes, &rounding, &launch, &report));
    return std::string(report.text);
  };
  EXPECT_EQ(refusal_to_round(1), "integers are laid out for a product of one plane, with the totals of tokens");
  std::int32_t total = 0;
  rounding.totals = &total;
  EXPECT_EQ(refusal_to_round(2), "integers are laid out for a product of one plane, with the totals of tokens");
  EXPECT_EQ(refusal_to_round(1), "integers are laid out for blocks of another number of tokens");
  rounding.block_tokens = 0;
  rounding.rows = RowsToRound::kNormed;
  rounding.kind = NumberKind::kBFloat16;
  EXPECT_EQ(refusal_to_round(1), "rows that are normed or gated are bfloat16 in the order of columns, for one plane");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
