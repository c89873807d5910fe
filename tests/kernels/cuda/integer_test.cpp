#include "kernels/cuda/integer.h"

#include <gtest/gtest.h>

#include "../kernel_cases.h"
#include "emulator.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/pack.h"
#include "on_device.h"
#include "step_numbers.h"

// The kernels' own sources on the model of a GPU, against the CPU's kernels, whose bits product_test.cpp holds to the
// definition.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using kernels::testing::make_input;
using kernels::testing::make_weight;
using kernels::testing::WeightCase;
using testing::OnDevice;

template <typename T>
struct Ending : Guarded<T> {
  explicit Ending(std::size_t count) : Guarded<T>(count, Guarded<T>::Side::kEnd) {}
};

/// In place of a number of token tiles: by the kernel for many tokens.
constexpr int kByTiles = -1;

template <int kBits, int kPlanes, int kTokenTiles>
std::vector<float> run(const Packed& packed, const std::vector<float>& input, int tokens, std::uint64_t seed) {
  const OnDevice device(packed);
  const Matrix& matrix = device.matrix();
  const auto many = static_cast<std::size_t>(tokens);
  const auto runs = static_cast<std::size_t>(runs_of(matrix.groups, matrix.group_steps));
  Ending<float> x(input.size());
  x.assign(input.data());
  Ending<std::int8_t> bytes(many * static_cast<std::size_t>(matrix.steps) * kStepColumns * kPlanes);
  Ending<float> scales(kPlanes == 1 ? many : many * runs);
  Ending<std::int32_t> sums(many * runs);
  Ending<float> y(many * static_cast<std::size_t>(matrix.rows));
  std::fill(y.span().begin(), y.span().end(), 1e30F);
  const QuantizeCall quantize = {x.data(),     NumberKind::kFloat32, matrix.columns,
                                 tokens,       matrix.columns,       packed.sources_at(packed.bytes.data()),
                                 matrix.steps, matrix.groups,        matrix.group_steps,
                                 bytes.data(), scales.data(),        sums.data()};
  testing::Seeded launcher{seed};
  dispatch_quantize<kPlanes>(quantize, launcher);
  const IntegerProduct call = {matrix,        bytes.data(),
                               scales.data(), sums.data(),
                               tokens,        {y.data(), matrix.rows, NumberKind::kFloat32, nullptr, nullptr, 0}};
  if constexpr (kTokenTiles == kByTiles) {
    dispatch_integer_tiles<kBits>(call, launcher);
  } else if constexpr (kTokenTiles == 0) {
    using Kernel = SkinnyInteger<kBits, kPlanes>;
    const auto words = static_cast<std::size_t>(Kernel::shared_words(matrix, tokens));
    launcher.launch<Kernel>(GridSize{{tiles_of(matrix), blocks_for(tokens, Kernel::kTokens), 1}, words * 4}, call);
  } else {
    using Kernel = Integer<kBits, kPlanes, kTokenTiles>;
    const auto words = static_cast<std::size_t>(Kernel::shared_words(matrix.group_steps));
    launcher.launch<Kernel>(GridSize{{tiles_of(matrix), blocks_for(tokens, Kernel::kTokens), 1}, words * 4}, call);
  }
  return {y.span().begin(), y.span().end()};
}

// By the kernel for few tokens where there are no token tiles.
template <int kBits, int kPlanes, int kTokenTiles>
void expect_weight(const UnpackedWeight& canonical, const std::vector<float>& input, int tokens, const WeightCase& c) {
  const PackedWeight weight = PackedWeight::pack(canonical.view());
  const Arithmetic arithmetic = kPlanes == 1 ? Arithmetic::kInt8 : Arithmetic::kInt16;
  const kernels::testing::Bits expected = kernels::testing::run_product(weight, arithmetic, input, "reference");
  const kernels::testing::Bits found{run<kBits, kPlanes, kTokenTiles>(pack(weight), input, tokens, 11)};
  EXPECT_TRUE(found == expected) << c << ", " << tokens << " tokens, " << arithmetic_name(arithmetic);
}

template <int kBits, int kPlanes, int kTokenTiles = 1>
void expect_bits(const WeightCase& c, int tokens) {
  expect_weight<kBits, kPlanes, kTokenTiles>(make_weight(c), make_input(tokens, c.columns), tokens, c);
}

template <int kBits, int kPlanes>
void expect_shapes() {
  for (const std::int64_t columns : {1, 31, 64, 129, 576, 1200}) {
    for (const std::int64_t group : {32, 48, 64, 96, 128, 512, 4096}) {
      expect_bits<kBits, kPlanes>({17, columns, group, kBits}, 3);
      if (columns % 2 == 1 || columns == 1200) expect_bits<kBits, kPlanes, 0>({17, columns, group, kBits}, 3);
    }
  }
  expect_bits<kBits, kPlanes>({33, 576, 64, kBits, Decoding::kWholeZero, true, ScaleStorage::kFloat32}, 9);
  expect_bits<kBits, kPlanes, 0>({33, 2080, 64, kBits, Decoding::kWholeZero, true, ScaleStorage::kFloat32}, 1);
  expect_bits<kBits, kPlanes, 0>({20, 2500, 512, kBits, Decoding::kWholeZero, true}, 11);
  expect_bits<kBits, kPlanes, 4>({33, 1100, 4096, kBits, Decoding::kWholeZero, false, ScaleStorage::kBFloat16}, 35);
  expect_bits<kBits, kPlanes, 2>({33, 1100, 64, kBits}, 11);
}

TEST(CudaIntegerProduct, GivesTheCpusBitsForInt8) {
  expect_shapes<2, 1>();
  expect_shapes<3, 1>();
  expect_shapes<4, 1>();
  expect_shapes<8, 1>();
}

TEST(CudaIntegerProduct, GivesTheCpusBitsForInt16) {
  expect_shapes<2, 2>();
  expect_shapes<3, 2>();
  expect_shapes<4, 2>();
  expect_shapes<8, 2>();
}

// Columns that fill stages again, groups within a chunk and of several chunks, rows and tokens beyond a block.
template <int kBits>
void expect_tiles() {
  for (const std::int64_t columns : {1, 31, 129, 576, 1200}) {
    for (const std::int64_t group : {32, 48, 64, 128, 256, 4096}) {
      if (columns < 300 || kBits == 4) expect_bits<kBits, 1, kByTiles>({17, columns, group, kBits}, 9);
    }
  }
  expect_bits<kBits, 1, kByTiles>({150, 384, 128, kBits, Decoding::kWholeZero, true, ScaleStorage::kFloat32}, 131);
  expect_bits<kBits, 1, kByTiles>({40, 264, 64, kBits, Decoding::kWholeZero, false, ScaleStorage::kBFloat16}, 70);
}

TEST(CudaTiledInteger, GivesTheCpusBits) {
  expect_tiles<2>();
  expect_tiles<3>();
  expect_tiles<4>();
}

TEST(CudaTiledInteger, TakesZeroPointsUpTo128) {
  for (std::uint32_t zero = 0; zero <= 128; ++zero) {
    for (std::uint32_t code = 0; code < 16; ++code) {
      const std::uint32_t bytes = SignedCodes(zero).of(code * 0x01010101U);
      EXPECT_EQ(bytes, ((code - zero) & 0xFFU) * 0x01010101U) << code << " - " << zero;
    }
  }
}

TEST(CudaIntegerProduct, GathersColumnsOfMovedGroups) {
  const WeightCase c = {20, 192, 64, 4};
  UnpackedWeight weight = make_weight(c);
  for (std::int64_t i = 0; i < c.columns; ++i) weight.group_index.push_back(static_cast<std::int32_t>(i % 3));
  expect_weight<4, 1, 1>(weight, make_input(3, c.columns), 3, c);
  expect_weight<4, 2, 1>(weight, make_input(3, c.columns), 3, c);
  expect_weight<4, 2, 0>(weight, make_input(3, c.columns), 3, c);
  expect_weight<4, 1, kByTiles>(weight, make_input(3, c.columns), 3, c);
}

// Rows that no thread keeps whole in registers, and rows so short that a block takes eight of them.
TEST(CudaIntegerProduct, RoundsLongAndManyRows) {
  expect_bits<4, 1, 0>({3, 9000, 128, 4}, 2);
  expect_bits<4, 2, 0>({3, 8424, 96, 4}, 1);
  expect_bits<4, 1, 4>({3, 520, 64, 4}, 19);
  expect_bits<4, 2, 4>({3, 1000, 96, 4}, 17);
}

TEST(CudaIntegerProduct, RoundsEdgesAsTheCpuDoes) {
  const WeightCase c = {20, 300, 128, 4};
  std::vector<float> input = make_input(6, c.columns);
  const auto row = [&](int token) { return input.begin() + token * c.columns; };
  std::fill(row(0), row(1), 0.0F);
  std::fill(row(1), row(2), 1e-42F);  // scales below the smallest normal number
  *row(2) = 6e4F;                     // an outlier
  row(3)[17] = std::numeric_limits<float>::infinity();
  row(4)[299] = std::nanf("");
  for (std::int64_t i = 0; i < c.columns; ++i) row(5)[i] = static_cast<float>(i % 255 - 127) / 2.0F;  // ties
  expect_weight<4, 1, 1>(make_weight(c), input, 6, c);
  expect_weight<4, 2, 1>(make_weight(c), input, 6, c);
  expect_weight<4, 1, kByTiles>(make_weight(c), input, 6, c);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
