#include "kernels/cuda/skinny.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "../guarded.h"
#include "../kernel_cases.h"
#include "../oracle.h"
#include "emulator.h"
#include "float64_bound.h"
#include "kernels/cuda/expand.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/table.h"
#include "kernels/cuda/tiled.h"
#include "on_device.h"
#include "support/error_text.h"

// The kernels' own source on the model of a GPU, against float64.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using kernels::testing::make_input;
using kernels::testing::make_weight;
using kernels::testing::Oracle;
using kernels::testing::WeightCase;
using testing::as_numbers;
using testing::EmulatedThread;
using testing::expect_close;
using testing::Grid;
using testing::OnDevice;

struct Settings {
  int splits = 1;
  bool aligned = true;
  std::uint64_t seed = 1;
};

template <int kBits, typename Number, int kTokenTiles>
std::vector<float> run(const OnDevice& weight, const std::vector<std::uint16_t>& input, int tokens,
                       const Settings& settings) {
  using Kernel = Skinny<kBits, Number, kTokenTiles>;
  const Matrix& matrix = weight.matrix();
  const auto outputs = static_cast<std::size_t>(tokens) * static_cast<std::size_t>(matrix.rows);
  Guarded<std::uint16_t> x(input.size(), Guarded<std::uint16_t>::Side::kEnd);
  x.assign(input.data());
  Guarded<float> y(outputs, Guarded<float>::Side::kEnd);
  std::fill(y.span().begin(), y.span().end(), std::nanf(""));
  const Grid grid = {{tiles_of(matrix), settings.splits, (tokens + Kernel::kTokens - 1) / Kernel::kTokens},
                     kSkinnyThreads,
                     Kernel::kSharedFloats * sizeof(float)};
  std::vector<float> partials(outputs * static_cast<std::size_t>(settings.splits), std::nanf(""));
  std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(grid.blocks[0] * grid.blocks[2]), 0);
  const HalfProduct call = {matrix,
                            x.data(),
                            matrix.columns,
                            matrix.columns,
                            tokens,
                            settings.aligned && matrix.columns % 8 == 0,
                            {y.data(), matrix.rows, NumberKind::kFloat32, nullptr, nullptr, 0},
                            settings.splits,
                            partials.data(),
                            arrivals.data()};
  testing::launch(grid, settings.seed, [&](EmulatedThread& thread) { Kernel::run(thread, call); });
  EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
  return {y.span().begin(), y.span().end()};
}

template <int kBits, typename Number, int kTokenTiles>
void expect_product(const WeightCase& c, int tokens, const Settings& settings = {}) {
  const UnpackedWeight weight = make_weight(c);
  const OnDevice device(pack(PackedWeight::pack(weight.view())));
  const auto input = as_numbers<Number>(make_input(tokens, c.columns));
  expect_close<Number>(run<kBits, Number, kTokenTiles>(device, input, tokens, settings), weight, input, tokens, c);
}

template <int kBits>
void expect_shapes() {
  for (const std::int64_t columns : {1, 31, 64, 129, 576, 1200}) {
    for (const std::int64_t group : {32, 64, 96, 128, 4096}) {
      expect_product<kBits, Float16, 1>({17, columns, group, kBits}, 3);
    }
  }
  // Chunks that are whole, of one, two and four groups, and groups of several chunks.
  for (const std::int64_t group : {32, 64, 128, 256, 384, 4096}) {
    for (const int splits : {1, 2}) {
      expect_product<kBits, Float16, 1>({17, 1920, group, kBits, Decoding::kWholeZero, splits == 2}, 3, {splits});
      expect_product<kBits, BFloat16, 2>({17, 1920, group, kBits}, 11, {splits});
    }
  }
  expect_product<kBits, BFloat16, 1>({40, 576, 64, kBits, Decoding::kWholeZero, true}, 8);
  expect_product<kBits, Float16, 2>({40, 576, 64, kBits, Decoding::kWholeZero, false, ScaleStorage::kFloat32}, 13);
}

TEST(CudaSkinnyProduct, EqualsFloat64WithinItsRoundingsFor2Bits) { expect_shapes<2>(); }
TEST(CudaSkinnyProduct, EqualsFloat64WithinItsRoundingsFor3Bits) { expect_shapes<3>(); }
TEST(CudaSkinnyProduct, EqualsFloat64WithinItsRoundingsFor4Bits) { expect_shapes<4>(); }
TEST(CudaSkinnyProduct, EqualsFloat64WithinItsRoundingsFor8Bits) { expect_shapes<8>(); }

template <int kBits, typename Number, int kTerms, int kTokenTiles = 1>
void expect_table(const WeightCase& c, int tokens, std::vector<float> table, const Settings& settings = {}) {
  UnpackedWeight weight = make_weight(c);
  weight.shape.decoding = Decoding::kTable;
  weight.zeros.clear();
  weight.table = std::move(table);
  for (auto& code : weight.codes) code = static_cast<std::uint8_t>(code % weight.table.size());
  const OnDevice device(pack(PackedWeight::pack(weight.view())));
  const auto input = as_numbers<Number>(make_input(tokens, c.columns));
  const auto found = run<kBits, TableNumbers<Number, kTerms>, kTokenTiles>(device, input, tokens, settings);
  const double left_over = kBits == 8 ? 0 : std::is_same_v<Number, Float16> ? 0x1p-22 : 0x1p-17;
  expect_close<Number>(found, weight, input, tokens, c, kTerms, left_over);
}

std::vector<float> nf4_like() {
  std::vector<float> table;
  for (int i = 0; i < 16; ++i) table.push_back(std::sin(0.37F * static_cast<float>(i)));  // in no 16 bits
  return table;
}

// 4 bits of exponent with bias 7, 3 of fraction; what stands for no number is left zero.
std::vector<float> e4m3() {
  std::vector<float> table;
  for (int code = 0; code < 256; ++code) {
    const int exponent = code / 8 % 16;
    const auto fraction = static_cast<float>(code % 8);
    const float size = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8.0F + fraction, exponent - 10);
    table.push_back((code & 0x7F) == 0x7F ? 0.0F : code < 128 ? size : -size);
  }
  return table;
}

TEST(CudaTableProduct, EqualsFloat64WithinItsRoundings) {
  for (const std::int64_t columns : {1, 31, 129, 600}) {
    expect_table<4, BFloat16, 2>({17, columns, 64, 4}, 3, nf4_like());
    expect_table<4, Float16, 2>({17, columns, 96, 4}, 3, nf4_like());
    expect_table<8, BFloat16, 1>({17, columns, 128, 8}, 3, e4m3());
    expect_table<8, Float16, 1>({17, columns, 4096, 8}, 3, e4m3());
  }
  expect_table<4, BFloat16, 2, 4>({40, 576, 64, 4}, 35, nf4_like(), {2, true, 4});
  expect_table<8, Float16, 1, 4>({33, 576, 64, 8}, 9, e4m3());
}

TEST(CudaTableProduct, RefusesWhatItHasNoTableFor) {
  const auto message = [](int bits, std::vector<float> table) {
    UnpackedWeight weight = make_weight({17, 64, 64, bits});
    weight.shape.decoding = Decoding::kTable;
    weight.zeros.clear();
    weight.table = std::move(table);
    for (auto& code : weight.codes) code = static_cast<std::uint8_t>(code % weight.table.size());
    return lowbit::testing::error_text(ErrorCode::kUnsupported, [&] { (void)pack(PackedWeight::pack(weight.view())); });
  };
  EXPECT_EQ(message(3, {0.0F, 1.0F, 2.0F}),
            "packing for CUDA: the weight has a table of numbers for 3 bits, and the GPU's kernels have them for 4 and "
            "8; use 'cpu' or another grid");
  EXPECT_EQ(message(8, {0.0F, 0.1F}),
            "packing for CUDA: the weight's table of 256 numbers has 0.1, which 16 bits do not hold; use 'cpu' or "
            "another grid");
}

TEST(CudaSkinnyProduct, ReadsActivationsThatAreNotAligned) {
  expect_product<4, Float16, 1>({17, 200, 64, 4}, 3, {1, false, 2});
}

TEST(CudaSkinnyProduct, GivesATokenTheSameBitsInEveryBatchAndOrder) {
  const WeightCase c = {50, 1184, 128, 4};
  const OnDevice device(pack(PackedWeight::pack(make_weight(c).view())));
  const auto input = as_numbers<Float16>(make_input(70, c.columns));
  for (const int splits : {1, 2}) {
    const auto all = run<4, Float16, 4>(device, input, 70, {splits, true, 3});
    for (const int tokens : {1, 5, 33}) {
      const std::vector<std::uint16_t> part(input.begin(), input.begin() + tokens * c.columns);
      for (const std::uint64_t seed : {4U, 5U}) {
        const auto few = run<4, Float16, 1>(device, part, tokens, {splits, true, seed});
        EXPECT_TRUE(std::equal(few.begin(), few.end(), all.begin())) << tokens << " tokens, " << splits << " splits";
      }
    }
  }
}

TEST(CudaSkinnyProduct, JoinsSplitsInAFixedOrder) {
  for (const int splits : {2, 3}) expect_product<4, Float16, 1>({33, 3000, 128, 4}, 2, {splits, true, 6});
}

template <int kBits, typename Number>
void expect_tiled(const WeightCase& c, int tokens) {
  using Kernel = Tiled<kBits, Number>;
  const UnpackedWeight weight = make_weight(c);
  const OnDevice device(pack(PackedWeight::pack(weight.view())));
  const auto input = as_numbers<Number>(make_input(tokens, c.columns));
  Guarded<std::uint16_t> x(input.size(), Guarded<std::uint16_t>::Side::kEnd);
  x.assign(input.data());
  std::vector<float> y(static_cast<std::size_t>(tokens * c.rows), std::nanf(""));
  const HalfProduct call = {device.matrix(),
                            x.data(),
                            c.columns,
                            static_cast<std::int32_t>(c.columns),
                            tokens,
                            true,
                            {y.data(), c.rows, NumberKind::kFloat32, nullptr, nullptr, 0},
                            1,
                            nullptr,
                            nullptr};
  const int tiles = (tiles_of(call.weight) + Kernel::kBlockTiles - 1) / Kernel::kBlockTiles;
  const Grid grid = {{tiles, (tokens + Kernel::kBlockTokens - 1) / Kernel::kBlockTokens, 1},
                     Kernel::kThreads,
                     Kernel::kSharedWords * sizeof(float)};
  testing::launch(grid, 9, [&](EmulatedThread& thread) { Kernel::run(thread, call); });
  expect_close<Number>(y, weight, input, tokens, c);
}

TEST(CudaTiledProduct, EqualsFloat64WithinItsRoundings) {
  for (const std::int64_t columns : {8, 64, 520, 576}) {
    for (const std::int64_t group : {32, 96, 128}) expect_tiled<4, Float16>({150, columns, group, 4}, 20);
  }
  expect_tiled<4, BFloat16>({17, 1024, 128, 4, Decoding::kWholeZero, true}, 131);
  expect_tiled<8, Float16>({129, 640, 4096, 8}, 3);
  expect_tiled<8, BFloat16>({16, 640, 64, 8, Decoding::kWholeZero, false, ScaleStorage::kBFloat16}, 30);
}

TEST(CudaTiledProduct, ReadsSharedMemoryFromAllBanks) {
  using Kernel = Tiled<4, Float16>;
  for (int phase = 0; phase < 4; ++phase) {
    for (int step = 0; step < kChunkSteps; ++step) {
      std::set<int> banks;
      for (int lane = 8 * phase; lane < 8 * phase + 8; ++lane) {
        for (int i = 0; i < 4; ++i) banks.insert((Kernel::unit_at(lane / 4, 4 * step + lane % 4) + i) % 32);
      }
      EXPECT_EQ(banks.size(), 32U);
    }
  }
}

template <int kBits, typename Number>
void expect_expanded(const WeightCase& c, bool moved) {
  UnpackedWeight weight = make_weight(c);
  for (std::int64_t i = 0; moved && i < c.columns; ++i) weight.group_index.push_back(static_cast<std::int32_t>(i % 3));
  const Packed packed = pack(PackedWeight::pack(weight.view()));
  const OnDevice device(packed);
  std::vector<std::uint16_t> found(static_cast<std::size_t>(c.rows * c.columns), 0xFFFFU);
  const ExpandCall call = {device.matrix(), packed.sources_at(packed.bytes.data()), found.data(), c.columns};
  testing::launch({{tiles_of(call.weight), (chunks_of(call.weight) + 3) / 4, 1}, Expand<kBits, Number>::kThreads, 0}, 3,
                  [&](EmulatedThread& thread) { Expand<kBits, Number>::run(thread, call); });
  const Oracle oracle(weight);
  for (std::int64_t i = 0; i < c.rows * c.columns; ++i) {
    ASSERT_EQ(found[static_cast<std::size_t>(i)], Number::from_float(oracle.weight(i / c.columns, i % c.columns))) << c;
  }
}

TEST(CudaExpansion, RoundsTheDecodedWeightOnce) {
  for (const std::int64_t columns : {31, 96, 600}) {
    expect_expanded<2, Float16>({17, columns, 32, 2}, false);
    expect_expanded<3, Float16>({17, columns, 48, 3}, false);
    expect_expanded<4, BFloat16>({17, columns, 128, 4}, false);
    expect_expanded<8, BFloat16>({17, columns, 4096, 8}, false);
  }
  expect_expanded<4, Float16>({17, 192, 64, 4}, true);
}

TEST(CudaArrangement, PutsColumnsAtTheirPlaces) {
  const std::int32_t sources[] = {2, 0, -1, 3, 1, -1};
  const std::uint16_t input[] = {10, 11, 12, 13, 99, 20, 21, 22, 23, 99};
  std::uint16_t output[12];
  const ArrangeCall call = {input, 5, 2, 4, sources, 6, output};
  testing::launch({{2, 1, 1}, Arrange::kThreads, 0}, 1, [&](EmulatedThread& thread) { Arrange::run(thread, call); });
  EXPECT_THAT(output, ::testing::ElementsAre(12, 10, 0, 13, 11, 0, 22, 20, 0, 23, 21, 0));
}

TEST(CudaSkinnyProduct, KeepsWhatIsNotFiniteInItsOwnToken) {
  const WeightCase c = {20, 160, 64, 4};
  const OnDevice device(pack(PackedWeight::pack(make_weight(c).view())));
  std::vector<float> values = make_input(4, c.columns);
  const auto clean = run<4, Float16, 1>(device, as_numbers<Float16>(values), 4, {});
  values[static_cast<std::size_t>(c.columns + 7)] = std::nanf("");
  const auto found = run<4, Float16, 1>(device, as_numbers<Float16>(values), 4, {});
  for (std::size_t i = 0; i < found.size(); ++i) {
    const bool own = i / 20 == 1;
    EXPECT_TRUE(own ? std::isnan(found[i]) : found[i] == clean[i]) << i;
  }
}

}  // namespace
}  // namespace lowbit::kernels::cuda
