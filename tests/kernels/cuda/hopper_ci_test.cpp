#include "kernels/cuda/hopper.h"

#include <gtest/gtest.h>

#include "../guarded.h"
#include "../kernel_cases.h"
#include "float64_bound.h"
#include "golden_operands.h"
#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/pack.h"
#include "on_device.h"
#include "test_launcher.h"

// Hopper's kernel on the model of a GPU, as far as that models copies in bulk and products of groups, against float64.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using kernels::testing::make_input;
using kernels::testing::make_weight;
using kernels::testing::WeightCase;
using testing::as_numbers;
using testing::EmulatedThread;
using testing::expect_close;
using testing::GroupThread;
using testing::OnDevice;
using testing::TestLauncher;

TEST(CudaGroupOperands, EqualCuTes) {
  testing::GoldenOperands{"cuda_group_operands.txt", "", 2, 8, element_of_group_a16, operand_offset}.check(
      128 * 8 + 128 * 8 + (16 + 32 + 64 + 128) * 16 + 4);
}

TEST(CudaGroupOperands, KeepTheirAddressApart) {
  EXPECT_EQ(operand_descriptor(0x38010, 0, 0), 0x3801U);
  EXPECT_EQ(operand_descriptor(227 * 1024, 2048, 128) & 0xFFFFU, 227U * 64U);
}

std::vector<std::uint16_t> arrange(const Matrix& weight, const std::vector<std::uint16_t>& input, int tokens, int block,
                                   const std::int32_t* sources = nullptr) {
  std::vector<std::uint16_t> result(static_cast<std::size_t>(laid_out_size(weight, tokens, block)), 0xFFFFU);
  Guarded<std::uint16_t> x(input.size(), Guarded<std::uint16_t>::Side::kEnd);
  x.assign(input.data());
  const OperandCall call = {x.data(), weight.columns, tokens, weight.columns,
                            sources,  weight.steps,   block,  result.data()};
  TestLauncher<EmulatedThread> launcher{7};
  EXPECT_TRUE(dispatch_arrange_operands(call, launcher));
  return result;
}

TEST(CudaOperandArrangement, PutsEveryNumberAtItsPlace) {
  Matrix weight{};
  weight.steps = 9;  // more than the columns fill, and a chunk that three are lacking of
  std::vector<std::int32_t> sources;
  for (int place = 0; place < weight.steps * kStepColumns; ++place) sources.push_back((place * 7 + 3) % 300 - 50);
  // Rows of 208 begin on 16 bytes, those of 201 do not.
  for (const auto& [tokens, columns] : {std::pair(3, 201), {20, 208}, {40, 201}, {130, 208}}) {
    weight.columns = columns;
    std::vector<std::uint16_t> input(static_cast<std::size_t>(tokens * weight.columns));
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::uint16_t>(i + 1);
    for (const bool moved : {false, true}) {
      const int block = moved ? kHopperRoundedTokens : hopper_tokens(tokens);
      const std::vector<std::uint16_t> found = arrange(weight, input, tokens, block, moved ? sources.data() : nullptr);
      for (int token = 0; token < (tokens + block - 1) / block * block; ++token) {
        for (int place = 0; place < chunks_of(weight) * 128; ++place) {
          const int of_chunk = place / 128 * 128;
          const auto at = (token / block * chunks_of(weight) + place / 128) * block * 128 +
                          operand_offset(block, token % block, place % 128);
          int column = of_chunk + column_of_depth(place % 128);
          if (moved) column = column < weight.steps * kStepColumns ? sources[static_cast<std::size_t>(column)] : -1;
          const bool present = token < tokens && column >= 0 && column < weight.columns;
          const int expected = present ? input[static_cast<std::size_t>(token * weight.columns + column)] : 0;
          ASSERT_EQ(found[static_cast<std::size_t>(at)], expected) << "token " << token << ", place " << place;
        }
      }
    }
  }
}

struct Exact {
  static constexpr bool kRounds = false;
  static HopperSchedule schedule(const Matrix& weight, int tokens, int workers) {
    return HopperSchedule::exact(weight, tokens, 132, workers);
  }
  template <typename Number>
  static bool dispatch(const HalfProduct& call, TestLauncher<GroupThread>& launcher) {
    return dispatch_hopper<Number, 4>(call, launcher);
  }
};
struct Rounded {
  static constexpr bool kRounds = true;
  static HopperSchedule schedule(const Matrix& weight, int tokens, int workers) {
    return HopperSchedule::rounded(weight, tokens, 132, workers);
  }
  template <typename Number>
  static bool dispatch(const HalfProduct& call, TestLauncher<GroupThread>& launcher) {
    return dispatch_hopper_rounded<Number, 4>(call, launcher);
  }
};
struct RoundedTurns : Rounded {
  template <typename Number>
  static bool dispatch(const HalfProduct& call, TestLauncher<GroupThread>& launcher) {
    return dispatch_hopper_rounded<Number, 4, kTurnLag>(call, launcher);
  }
};

template <typename Kernel, typename Number, typename T = float>
std::vector<T> run(const OnDevice& weight, const std::vector<std::uint16_t>& input, int tokens, int workers = 1,
                   std::uint64_t seed = 1, NumberKind kind = NumberKind::kFloat32) {
  const Matrix& matrix = weight.matrix();
  const HopperSchedule schedule = Kernel::schedule(matrix, tokens, workers);
  const std::vector<std::uint16_t> arranged = arrange(matrix, input, tokens, schedule.block_tokens);
  Guarded<std::uint16_t> x(arranged.size(), Guarded<std::uint16_t>::Side::kEnd);
  x.assign(arranged.data());
  std::vector<T> y(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(matrix.rows), static_cast<T>(0x7FFF));
  const std::vector<float> unknown(static_cast<std::size_t>(schedule.sums), std::nanf(""));
  Guarded<float> sums(unknown.size(), Guarded<float>::Side::kEnd);
  sums.assign(unknown.data());
  std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(schedule.arrivals), 0);
  const HalfProduct call = {matrix,
                            x.data(),
                            0,
                            0,
                            tokens,
                            true,
                            {y.data(), matrix.rows, kind, nullptr, nullptr, 0},
                            1,
                            sums.data(),
                            arrivals.data(),
                            schedule.stream};
  TestLauncher<GroupThread> launcher{seed};
  EXPECT_TRUE(Kernel::template dispatch<Number>(call, launcher));
  EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
  return y;
}

template <typename Kernel, typename Number>
void expect_product(const WeightCase& c, int tokens, int workers = 1) {
  const UnpackedWeight weight = make_weight(c);
  const OnDevice device(pack(PackedWeight::pack(weight.view())));
  const auto input = as_numbers<Number>(make_input(tokens, c.columns));
  expect_close<Number>(run<Kernel, Number>(device, input, tokens, workers), weight, input, tokens, c, 1, 0,
                       Kernel::kRounds);
}

template <typename Kernel>
class CudaHopperProduct : public ::testing::Test {};
using HopperKernels = ::testing::Types<Exact, Rounded, RoundedTurns>;
TYPED_TEST_SUITE(CudaHopperProduct, HopperKernels);

TYPED_TEST(CudaHopperProduct, EqualsFloat64WithinItsRoundings) {
  for (const std::int64_t columns : {1, 31, 64, 129, 576, 1200}) {
    for (const std::int64_t group : {32, 64, 96, 128, 160, 4096})
      expect_product<TypeParam, Float16>({17, columns, group, 4}, 16);
  }
  expect_product<TypeParam, BFloat16>({150, 576, 64, 4, Decoding::kWholeZero, true}, 20);
  expect_product<TypeParam, Float16>({40, 576, 128, 4, Decoding::kWholeZero, false, ScaleStorage::kFloat32}, 40);
  expect_product<TypeParam, BFloat16>({128, 264, 256, 4, Decoding::kWholeZero, false, ScaleStorage::kBFloat16}, 130);
}

// More chunks than a block has stages: each is filled again, of every size of block.
TYPED_TEST(CudaHopperProduct, UsesItsStagesAgain) {
  for (const int tokens : {16, 32, 64}) expect_product<TypeParam, Float16>({20, 2304, 128, 4}, tokens);
  expect_product<TypeParam, BFloat16>({20, 1536, 96, 4}, 65);
}

// Two blocks of rows that share activations, and a third one whose neighbour the matrix lacks; columns that fill stages
// again, an even number of chunks and an odd one, in every order of threads.
TYPED_TEST(CudaHopperProduct, SharesActivationsBetweenBlocks) {
  for (const std::int64_t columns : {1152, 1280}) {
    const WeightCase c = {150, columns, 128, 4};
    const UnpackedWeight weight = make_weight(c);
    const OnDevice device(pack(PackedWeight::pack(weight.view())));
    const auto input = as_numbers<Float16>(make_input(129, columns));
    for (const std::uint64_t seed : {1U, 2U}) {
      expect_close<Float16>(run<TypeParam, Float16>(device, input, 129, 1, seed), weight, input, 129, c, 1, 0,
                            TypeParam::kRounds);
    }
  }
  expect_product<TypeParam, BFloat16>({300, 640, 64, 4}, 70);
}

// Shares that end within tiles, a worker's first tile and last one, tiles of more workers than two, and workers that
// make whole tiles before they share the rest.
TYPED_TEST(CudaHopperProduct, AddsSharesInOrder) {
  const WeightCase c = {300, 1184, 128, 4};  // 10 chunks
  for (const int workers : {2, 5, 7, 20}) expect_product<TypeParam, Float16>(c, 33, workers);
  expect_product<TypeParam, Float16>({600, 300, 96, 4}, 600, 4);
  const OnDevice device(pack(PackedWeight::pack(make_weight(c).view())));
  const auto input = as_numbers<Float16>(make_input(20, c.columns));
  const std::vector<float> first = run<TypeParam, Float16>(device, input, 20, 7, 1);
  for (const std::uint64_t seed : {2U, 3U, 4U}) {
    const std::vector<float> found = run<TypeParam, Float16>(device, input, 20, 7, seed);
    EXPECT_EQ(found, first) << "seed " << seed;
  }
}

TYPED_TEST(CudaHopperProduct, GivesATokenTheSameBitsInBlocksOfEverySize) {
  const WeightCase c = {20, 576, 128, 4};
  const OnDevice device(pack(PackedWeight::pack(make_weight(c).view())));
  const auto input = as_numbers<BFloat16>(make_input(70, c.columns));
  const std::vector<float> all = run<TypeParam, BFloat16>(device, input, 70);
  for (const int tokens : {1, 17, 33}) {
    const std::vector<std::uint16_t> part(input.begin(), input.begin() + tokens * c.columns);
    const std::vector<float> found = run<TypeParam, BFloat16>(device, part, tokens);
    EXPECT_TRUE(std::equal(found.begin(), found.end(), all.begin())) << tokens << " tokens";
  }
}

TYPED_TEST(CudaHopperProduct, KeepsWhatIsNotFiniteInItsOwnToken) {
  const WeightCase c = {20, 160, 64, 4};
  const OnDevice device(pack(PackedWeight::pack(make_weight(c).view())));
  std::vector<float> values = make_input(4, c.columns);
  const auto clean = run<TypeParam, Float16>(device, as_numbers<Float16>(values), 4);
  values[static_cast<std::size_t>(c.columns + 7)] = std::nanf("");
  const auto found = run<TypeParam, Float16>(device, as_numbers<Float16>(values), 4);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(i / 20 == 1 ? std::isnan(found[i]) : found[i] == clean[i]) << i;
  }
}

// 144 rows go by lines, 150 do not.
TEST(CudaHopperRoundedTurns, GivesTheBitsOfHopperRoundedAndRoundsOutputsOnce) {
  for (const std::int64_t rows : {144, 150}) {
    for (const std::int64_t columns : {100, 700}) {
      const OnDevice device(pack(PackedWeight::pack(make_weight({rows, columns, 128, 4}).view())));
      const auto input = as_numbers<BFloat16>(make_input(259, columns));
      const std::vector<float> wide = run<RoundedTurns, BFloat16>(device, input, 259);
      EXPECT_EQ(wide, (run<Rounded, BFloat16>(device, input, 259))) << rows << " rows, " << columns << " columns";
      for (const NumberKind kind : {NumberKind::kFloat16, NumberKind::kBFloat16}) {
        std::vector<std::uint16_t> expected;
        for (const float y : wide) expected.push_back(kind == NumberKind::kFloat16 ? as_half(y) : as_bfloat16(y));
        EXPECT_EQ((run<RoundedTurns, BFloat16, std::uint16_t>(device, input, 259, 1, 1, kind)), expected)
            << rows << " rows, " << columns << " columns";
      }
    }
  }
}

TEST(CudaHopperSchedule, FillsTheGpuUnlessSharesAreTooSmall) {
  Matrix weight{};
  weight.rows = 11008;
  weight.steps = 128;
  for (const int tokens : {1, 16, 64}) {
    const HopperSchedule schedule = HopperSchedule::exact(weight, tokens, 132);
    EXPECT_EQ(schedule.stream.workers, 132);
    EXPECT_EQ(schedule.stream.whole, 0);
    EXPECT_EQ(schedule.stream.shared_tiles(), 86);
    EXPECT_EQ(schedule.sums, 132 * 128 * schedule.block_tokens);
    EXPECT_EQ(schedule.arrivals, 86 * 8);
  }
  // Pairs of blocks: 43 tiles of rows, 4 of tokens; 40 tiles are left when each of 66 workers has made two.
  const HopperSchedule many = HopperSchedule::rounded(weight, 1024, 132);
  EXPECT_EQ(many.block_tokens, 256);
  EXPECT_EQ(many.stream.workers, 66);
  EXPECT_EQ(many.stream.whole, 2);
  EXPECT_EQ(many.stream.shared_tiles(), 40);
  EXPECT_EQ(many.stream.sharers, 66);
  EXPECT_EQ(HopperSchedule::bytes(weight, 1024, 132).stream.workers, 66);
  EXPECT_EQ(HopperSchedule::bytes(weight, 64, 132).stream.workers, 132);
  weight.rows = 512;  // 4 tiles of 32 chunks
  EXPECT_EQ(HopperSchedule::exact(weight, 16, 132).stream.workers, 32);
  weight.steps = 8;  // of 2 chunks
  const HopperSchedule small = HopperSchedule::exact(weight, 16, 132);
  EXPECT_EQ(small.stream.workers, 4);
  EXPECT_EQ(small.sums, 0);
  EXPECT_EQ(small.arrivals, 0);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
