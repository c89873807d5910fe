#include "kernels/cuda/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <tuple>

#include "../kernel_cases.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/fragments.h"
#include "kernels/cuda/pack.h"
#include "support/error_text.h"
#include "support/source_folder.h"

namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::make_weight;
using kernels::testing::WeightCase;

TEST(CudaLayout, GivesEveryCodeItsOwnBits) {
  for (const int bits : {1, 2, 4, 8}) {
    for (const int steps : {1, 2, 3, 4, 5, 8, 18}) {
      std::set<std::pair<std::int64_t, int>> taken;
      for (int step = 0; step < steps; ++step) {
        for (int row = 0; row < kTileRows; ++row) {
          for (int column = 0; column < kStepColumns; ++column) {
            const Field field = field_of(bits, step, row, column);
            const std::int64_t byte = word_offset(bits, steps, field.lane, field.word) + field.shift / 8;
            ASSERT_LT(byte, plane_bytes(bits, steps));
            ASSERT_LE(field.shift % 8 + bits, 8);
            ASSERT_TRUE(taken.emplace(byte, field.shift % 8).second) << bits << " bits, step " << step;
          }
        }
      }
    }
  }
}

TEST(CudaLayout, CostsNoByteMoreThanItsCodes) {
  for (const int steps : {1, 2, 3, 4, 5, 18, 128}) {
    for (const int bits : {2, 4, 8}) EXPECT_EQ(tile_bytes(bits, steps), std::int64_t{steps} * 16 * 32 * bits / 8);
    // The plane of one bit fills words with two steps.
    EXPECT_EQ(tile_bytes(3, steps), std::int64_t{steps} * 128 + (steps + 1) / 2 * 128);
  }
}

TEST(CudaLayout, LoadsWholeChunksInVectorsThatAreAligned) {
  for (const int bits : {2, 4, 8}) {
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int word = 0; word < chunk_words(bits); word += 4) {
        EXPECT_EQ(word_offset(bits, 9, lane, word) % 16, 0);
        for (int i = 1; i < 4; ++i) {
          EXPECT_EQ(word_offset(bits, 9, lane, word + i), word_offset(bits, 9, lane, word) + 4 * i);
        }
      }
    }
  }
}

// "m16n8k16 A 3 5 0 9": operand A of that instruction, lane, value, row, column.
TEST(CudaFragments, EqualCuTes) {
  std::ifstream file(lowbit::testing::source_folder() / "tests/golden/kernels/cuda_fragments.txt");
  std::string instruction;
  std::string operand;
  int lane = 0;
  int value = 0;
  Element expected{};
  int count = 0;
  while (file >> instruction >> operand >> lane >> value >> expected.row >> expected.column) {
    const bool bytes = instruction == "m16n8k32";
    const Element at = operand == "C"   ? element_of_c(lane, value)
                       : operand == "A" ? (bytes ? element_of_a8(lane, value) : element_of_a16(lane, value))
                                        : (bytes ? element_of_b8(lane, value) : element_of_b16(lane, value));
    ASSERT_EQ(std::pair(at.row, at.column), std::pair(expected.row, expected.column))
        << instruction << " " << operand << ", lane " << lane << ", value " << value;
    ++count;
  }
  EXPECT_EQ(count, 32 * (8 + 4 + 4) + 32 * (16 + 8 + 4));
}

struct Same {
  const UnpackedWeight& expected;
  void expect(const UnpackedWeight& found, const WeightCase& c) const {
    EXPECT_EQ(found.codes, expected.codes) << c;
    EXPECT_EQ(found.scales, expected.scales) << c;
    EXPECT_EQ(found.zeros, expected.zeros) << c;
    for (std::int64_t column = 0; column < c.columns; ++column) {
      const auto at = static_cast<std::size_t>(column);
      const std::int64_t group = expected.group_index.empty() ? column / c.group : expected.group_index[at];
      ASSERT_EQ(found.group_index[at], group) << c << ", column " << column;
    }
  }
};

TEST(CudaPacking, GivesBackWhatWasPackedForEveryShape) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t rows : {1, 15, 16, 17, 192}) {
      for (const std::int64_t columns : {1, 31, 32, 100, 128, 129, 576}) {
        for (const std::int64_t group : {16, 32, 48, 64, 128, 576}) {
          for (const bool symmetric : {false, true}) {
            const WeightCase c = {rows, columns, group, bits, Decoding::kWholeZero, symmetric, ScaleStorage::kFloat16};
            const UnpackedWeight weight = make_weight(c);
            Same{weight}.expect(unpack(pack(PackedWeight::pack(weight.view()))), c);
          }
        }
      }
    }
  }
}

TEST(CudaPacking, TakesEveryScaleAndMovedGroupsOfOneSize) {
  for (const ScaleStorage storage : {ScaleStorage::kFloat32, ScaleStorage::kFloat16, ScaleStorage::kBFloat16}) {
    const WeightCase c = {20, 96, 32, 4, Decoding::kWholeZero, false, storage};
    UnpackedWeight weight = make_weight(c);
    for (std::int64_t i = 0; i < c.columns; ++i) weight.group_index.push_back(static_cast<std::int32_t>(i % 3));
    const Packed packed = pack(PackedWeight::pack(weight.view()));
    EXPECT_TRUE(packed.has_sources);
    Same{weight}.expect(unpack(packed), c);
  }
}

TEST(CudaPacking, GivesATableBack) {
  const WeightCase c = {20, 96, 32, 4, Decoding::kTable};
  const UnpackedWeight weight = make_weight(c);
  const UnpackedWeight found = unpack(pack(PackedWeight::pack(weight.view())));
  Same{weight}.expect(found, c);
  EXPECT_EQ(found.shape.decoding, Decoding::kTable);
  EXPECT_EQ(found.table, weight.table);
}

TEST(CudaPacking, GivesTheSameBytesOnManyThreads) {
  const PackedWeight weight = PackedWeight::pack(make_weight({200, 300, 64, 3}).view());
  std::int64_t part = 3;
  EXPECT_EQ(pack(weight, {kernels::testing::run_on_threads, &part}).bytes, pack(weight).bytes);
}

std::string refusal(const WeightCase& c) {
  const PackedWeight weight = PackedWeight::pack(make_weight(c).view());
  return lowbit::testing::error_text(ErrorCode::kUnsupported, [&] { (void)pack(weight); });
}

TEST(CudaPacking, SaysWhatItDoesNotTake) {
  WeightCase c;
  c.decoding = Decoding::kRealZero;
  EXPECT_EQ(
      refusal(c),
      "packing for CUDA: the weight has real zero points, and the GPU's kernels take whole zero points; use 'cpu' "
      "or another grid");
  c.decoding = Decoding::kWholeZero;
  c.outliers = 1;
  EXPECT_EQ(refusal(c),
            "packing for CUDA: the weight keeps 1 outliers in float32, and the GPU's kernels take none; use 'cpu'");
  UnpackedWeight weight = make_weight({16, 96, 32, 4});
  weight.group_index.assign(96, 1);
  std::fill(weight.group_index.begin(), weight.group_index.begin() + 10, 0);
  std::fill(weight.group_index.end() - 10, weight.group_index.end(), 2);
  EXPECT_EQ(
      lowbit::testing::error_text(ErrorCode::kUnsupported, [&] { (void)pack(PackedWeight::pack(weight.view())); }),
      "packing for CUDA: group 1 takes 3 steps of 32 columns and group 0 takes 1; the GPU's kernels need groups of "
      "one size, use 'cpu'");
}

// Words with every byte there is, in every place of a chunk.
template <int kBits>
Codes<kBits> rotated_bytes(int first) {
  Codes<kBits> codes = {};
  for (int i = 0; i < 2 * kBits; ++i) {
    for (int byte = 0; byte < 4; ++byte) {
      codes.words[i] |= static_cast<std::uint32_t>((first + 29 * i + 67 * byte) & 0xFF) << (8 * byte);
    }
  }
  return codes;
}

template <typename Number, int kBits>
void expect_exact() {
  int no_thread = 0;
  for (std::uint32_t zero = 0; zero < 1U << kBits; ++zero) {
    for (int first = 0; first < 256; ++first) {
      const Codes<kBits> codes = rotated_bytes<kBits>(first);
      for (int place = 0; place < 16; ++place) {
        const Quad quad = Number::template quad<kBits>(no_thread, codes, place / 4, place % 4, zero, 0);
        const std::uint32_t bytes = code_bytes<kBits>(codes, place / 4, place % 4);
        const std::uint32_t halves[] = {quad.first & 0xFFFFU, quad.first >> 16, quad.last & 0xFFFFU, quad.last >> 16};
        for (int column = 0; column < 4; ++column) {
          const std::uint32_t code = bytes >> (8 * byte_of_column(column)) & 0xFFU;
          ASSERT_EQ(Number::to_float(halves[column]), static_cast<float>(code) - static_cast<float>(zero))
              << kBits << " bits, code " << code << ", zero " << zero << ", register " << place;
        }
      }
    }
  }
}

TEST(CudaDecoding, IsExactForEveryCodeAndZero) {
  expect_exact<Float16, 2>();
  expect_exact<Float16, 3>();
  expect_exact<Float16, 4>();
  expect_exact<Float16, 8>();
  expect_exact<BFloat16, 2>();
  expect_exact<BFloat16, 3>();
  expect_exact<BFloat16, 4>();
  expect_exact<BFloat16, 8>();
}

}  // namespace
}  // namespace lowbit::kernels::cuda
