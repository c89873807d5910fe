#include "kernels/cuda/hopper_sliced.h"

#include <gtest/gtest.h>

#include "../guarded.h"
#include "../kernel_cases.h"
#include "float64_bound.h"
#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/pack.h"
#include "on_device.h"
#include "test_launcher.h"

// Hopper's kernel in slices on the model of a GPU, against float64.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using kernels::testing::make_input;
using kernels::testing::make_weight;
using kernels::testing::WeightCase;
using testing::as_numbers;
using testing::expect_close;
using testing::GroupThread;
using testing::OnDevice;
using testing::TestLauncher;

template <typename Number>
std::vector<float> run(const OnDevice& weight, const std::vector<std::uint16_t>& input, int tokens, Slices slices,
                       std::uint64_t seed = 1) {
  const Matrix& matrix = weight.matrix();
  Guarded<std::uint16_t> x(input.size(), Guarded<std::uint16_t>::Side::kEnd);
  x.assign(input.data());
  std::vector<float> y(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(matrix.rows), std::nanf(""));
  HalfProduct call = {matrix,
                      x.data(),
                      matrix.columns,
                      matrix.columns,
                      tokens,
                      true,
                      {y.data(), matrix.rows, NumberKind::kFloat32, nullptr, nullptr, 0},
                      1,
                      nullptr,
                      nullptr};
  call.slices = slices;
  TestLauncher<GroupThread> launcher{seed};
  EXPECT_TRUE(dispatch_hopper_sliced<Number>(call, launcher));
  return y;
}

template <typename Number>
void expect_product(const WeightCase& c, int tokens, Slices slices) {
  SCOPED_TRACE(::testing::Message() << c.rows << " rows, " << tokens << " tokens, " << slices.count() << " slices, "
                                    << slices.clusters << " clusters");
  const UnpackedWeight weight = make_weight(c);
  const OnDevice device(pack(PackedWeight::pack(weight.view())));
  const auto input = as_numbers<Number>(make_input(tokens, c.columns));
  expect_close<Number>(run<Number>(device, input, tokens, slices), weight, input, tokens, c);
}

TEST(CudaHopperSliced, EqualsFloat64WithinItsRoundings) {
  for (const std::int64_t columns : {128, 256, 1152}) {
    for (const std::int64_t group : {128, 256, 384, 4096}) expect_product<Float16>({17, columns, group, 4}, 16, {0, 1});
  }
  expect_product<BFloat16>({150, 640, 128, 4, Decoding::kWholeZero, true}, 20, {1, 1});
  expect_product<BFloat16>({70, 640, 256, 4, Decoding::kWholeZero, false, ScaleStorage::kBFloat16}, 64, {2, 1});
}

// Every size of block in every number of slices, of unequal size too: of them some own no tile of tokens.
TEST(CudaHopperSliced, AddsSlicesThroughTheCluster) {
  for (const int tokens : {3, 16, 32, 64}) {
    for (const int bits : {0, 1, 2, 3}) expect_product<Float16>({64, 1152, 128, 4}, tokens, {bits, 1});
  }
}

// What was sent for one tile of rows is read before that of the next takes its place: seven tiles, of one group of
// warps more than of the others, in one cluster and in two.
TEST(CudaHopperSliced, TakesManyTilesOfRows) {
  for (const int tokens : {16, 33}) {
    for (const int clusters : {1, 2}) {
      expect_product<Float16>({390, 1024, 128, 4}, tokens, {1, clusters});
      expect_product<BFloat16>({390, 1024, 128, 4}, tokens, {3, clusters});
    }
  }
}

TEST(CudaHopperSliced, GivesTheSameBitsInEveryOrderOfThreads) {
  const WeightCase c = {390, 640, 128, 4};
  const OnDevice device(pack(PackedWeight::pack(make_weight(c).view())));
  const auto input = as_numbers<Float16>(make_input(40, c.columns));
  const std::vector<float> first = run<Float16>(device, input, 40, {2, 1}, 1);
  for (const std::uint64_t seed : {2U, 3U, 4U}) {
    EXPECT_EQ(run<Float16>(device, input, 40, {2, 1}, seed), first) << "seed " << seed;
  }
}

TEST(CudaHopperSliced, KeepsWhatIsNotFiniteInItsOwnToken) {
  const WeightCase c = {20, 256, 128, 4};
  const OnDevice device(pack(PackedWeight::pack(make_weight(c).view())));
  std::vector<float> values = make_input(4, c.columns);
  const auto clean = run<Float16>(device, as_numbers<Float16>(values), 4, {1, 1});
  values[static_cast<std::size_t>(c.columns + 7)] = std::nanf("");
  const auto found = run<Float16>(device, as_numbers<Float16>(values), 4, {1, 1});
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(i / 20 == 1 ? std::isnan(found[i]) : found[i] == clean[i]) << i;
  }
}

TEST(CudaHopperSliced, ChoosesSlicesThatFit) {
  Matrix weight{};
  weight.bits = 4;
  weight.rows = 11008;
  weight.steps = 128;
  weight.group_steps = 4;
  weight.scale_kind = ScaleKind::kFloat16;
  const auto choice = [&](int tokens) {
    const Slices slices = choose_slices(weight, tokens, {{132, 66, 32, 16}});
    return std::pair(slices.clusters == 0 ? 0 : slices.count(), slices.clusters);
  };
  EXPECT_EQ(choice(16), std::pair(2, 58));  // 172 tiles of 64 rows, three a block, in one round
  EXPECT_EQ(choice(64), std::pair(4, 32));  // 128 KB of activations a block
  EXPECT_EQ(choice(65), std::pair(0, 0));
  weight.steps = 448;  // 14336 columns: an eighth of them has 224 KB for 64 tokens
  EXPECT_EQ(choice(64), std::pair(0, 0));
  EXPECT_EQ(choice(32).first, 8);
  weight.steps = 126;  // a chunk that is not whole
  EXPECT_EQ(choice(16), std::pair(0, 0));
  weight.steps = 128;
  weight.group_steps = 2;
  EXPECT_EQ(choice(16), std::pair(0, 0));
  weight.group_steps = 4;
  weight.scale_kind = ScaleKind::kFloat32;
  EXPECT_EQ(choice(16), std::pair(0, 0));
}

}  // namespace
}  // namespace lowbit::kernels::cuda
