#include "kernels/cuda/round_float8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "../guarded.h"
#include "../kernel_cases.h"
#include "e4m3_numbers.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/route.h"
#include "test_launcher.h"

// Activations rounded to E4M3 on the model of a GPU, against a search among E4M3's numbers.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using kernels::testing::make_input;
using testing::e4m3_numbers;
using testing::EmulatedThread;
using testing::nearest_code;
using testing::TestLauncher;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(CudaE4m3, DecodesEveryCode) {
  for (std::uint32_t code = 0; code < 256; ++code) {
    const float expected = e4m3_numbers()[code];
    const float found = e4m3_as_float(code);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(found)) << code;
    } else {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(found), std::bit_cast<std::uint32_t>(expected)) << code;
    }
  }
}

TEST(CudaE4m3, RoundsEveryBFloat16ToTheNearest) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bfloat16_as_float(bits);
    const std::uint32_t found = nearest_e4m3(value);
    if (std::isnan(value)) {
      EXPECT_EQ(found & 0x7FU, 0x7FU) << bits;
    } else {
      ASSERT_EQ(found, nearest_code(value)) << value;
    }
  }
}

// Where two numbers are as near, and the floats on either side.
TEST(CudaE4m3, RoundsHalfwayPointsToEven) {
  for (std::uint32_t code = 0; code < 126; ++code) {
    const float halfway = (e4m3_numbers()[code] + e4m3_numbers()[code + 1]) / 2;
    for (const float value : {halfway, std::nextafter(halfway, 0.0F), std::nextafter(halfway, kInfinity)}) {
      EXPECT_EQ(nearest_e4m3(value), nearest_code(value)) << value;
      EXPECT_EQ(nearest_e4m3(-value), nearest_code(-value)) << value;
      EXPECT_EQ(pair_of_e4m3(value, -1.0F), nearest_code(value) | 0xB800U) << value;
    }
  }
  EXPECT_EQ(nearest_e4m3(460.0F), 0x7EU);
  EXPECT_EQ(nearest_e4m3(-kInfinity), 0xFEU);
}

struct Rounded {
  float scale;
  std::vector<std::uint8_t> codes;
};

Rounded round_row(const std::vector<float>& row) {
  float largest = 0;
  bool finite = true;
  for (const float x : row) {
    largest = std::max(largest, std::fabs(x));
    finite = finite && std::isfinite(x);
  }
  Rounded result = {largest / 448.0F, {}};
  if (result.scale == 0) result.scale = 1;
  if (!finite) result.scale = kNan;
  for (const float x : row) result.codes.push_back(finite ? nearest_code(x / result.scale) : 0);
  return result;
}

// Ordinary rows, and what rounding must survive in the first ones.
std::vector<float> hostile_input(int tokens, int columns) {
  std::vector<float> input = make_input(tokens, columns);
  const auto row = [&](int token) { return input.begin() + static_cast<std::ptrdiff_t>(token) * columns; };
  const auto scale_row = [&](int token, float factor) {
    if (token < tokens) std::transform(row(token), row(token + 1), row(token), [&](float x) { return x * factor; });
  };
  scale_row(1, 0.0F);
  scale_row(2, 0x1p-130F);
  scale_row(3, 0x1p-147F);  // whose scale is zero or the least float
  scale_row(4, 0x1p+125F);
  if (tokens > 5) *(row(5) + columns / 2) = kNan;
  if (tokens > 6) *(row(6) + columns - 1) = -kInfinity;
  return input;
}

// As the kernel reads and writes it: both end where nobody may touch.
struct Rows {
  int tokens;
  int columns;
  NumberKind kind;
  std::vector<float> values;  // as the input has them
  Guarded<std::byte> memory;

  Rows(int count, int width, NumberKind of)
      : tokens(count),
        columns(width),
        kind(of),
        values(hostile_input(count, width)),
        memory(values.size() * (of == NumberKind::kFloat32 ? 4 : 2), Guarded<std::byte>::Side::kEnd) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      store_number(kind, memory.data(), static_cast<std::int64_t>(i), values[i]);
      values[i] = load_number(kind, memory.data(), static_cast<std::int64_t>(i));
    }
  }
  [[nodiscard]] std::vector<float> row(int token) const {
    return {values.begin() + static_cast<std::ptrdiff_t>(token) * columns,
            values.begin() + static_cast<std::ptrdiff_t>(token + 1) * columns};
  }
  RoundFloat8Call call(std::vector<float>& scales) {
    RoundFloat8Call result{};
    result.input = memory.data();
    result.kind = kind;
    result.stride = columns;
    result.tokens = tokens;
    result.columns = columns;
    result.steps = (columns + kStepColumns - 1) / kStepColumns;
    scales.assign(static_cast<std::size_t>(tokens), -3.0F);
    result.scales = scales.data();
    return result;
  }
};

void expect_scale(float found, float expected, int token) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(found)) << "token " << token;
  } else {
    EXPECT_EQ(found, expected) << "token " << token;
  }
}

constexpr NumberKind kKinds[] = {NumberKind::kFloat32, NumberKind::kBFloat16, NumberKind::kFloat16};

TEST(CudaRoundFloat8, WritesNumbersRowByRow) {
  for (const NumberKind kind : kKinds) {
    for (const int tokens : {1, 7, 19}) {
      for (const int columns : {1, 31, 200, 1000, 9000}) {
        if (columns == 9000 && tokens != 7) continue;
        Rows rows(tokens, columns, kind);
        std::vector<float> scales;
        RoundFloat8Call call = rows.call(scales);
        Guarded<std::uint16_t> numbers(rows.values.size(), Guarded<std::uint16_t>::Side::kEnd);
        call.numbers = numbers.data();
        TestLauncher<EmulatedThread> launcher{static_cast<std::uint64_t>(tokens)};
        ASSERT_TRUE(dispatch_round_float8(call, launcher));
        for (int token = 0; token < tokens; ++token) {
          const Rounded expected = round_row(rows.row(token));
          expect_scale(scales[static_cast<std::size_t>(token)], expected.scale, token);
          for (int k = 0; k < columns; ++k) {
            const std::uint16_t found = numbers.data()[token * columns + k];
            ASSERT_EQ(found, as_bfloat16(e4m3_numbers()[expected.codes[static_cast<std::size_t>(k)]]))
                << "token " << token << ", column " << k << " of " << columns << ", kind " << static_cast<int>(kind);
          }
        }
      }
    }
  }
}

// 270 columns leave three steps of the last chunk without columns, and places of the last step. Columns stand as they
// are, or in another order with gaps.
TEST(CudaRoundFloat8, LaysCodesOutForHopper) {
  for (const NumberKind kind : kKinds) {
    for (const int tokens : {3, 70, 130, 257}) {
      for (const bool moved : {false, true}) {
        Rows rows(tokens, 270, kind);
        std::vector<float> scales;
        RoundFloat8Call call = rows.call(scales);
        std::vector<std::int32_t> sources;
        for (int place = 0; place < 288; ++place) {
          sources.push_back(moved ? (place % 16 == 7 ? -1 : (place * 7 + 5) % 270) : place < 270 ? place : -1);
        }
        if (moved) call.sources = sources.data();
        const int block = hopper_byte_tokens(tokens);
        const int chunks = 3;
        std::vector<std::uint8_t> codes(static_cast<std::size_t>((tokens + block - 1) / block * block * chunks * 128),
                                        77);
        call.codes = codes.data();
        call.block_tokens = block;
        TestLauncher<EmulatedThread> launcher{5};
        ASSERT_TRUE(dispatch_round_float8(call, launcher));
        for (int token = 0; token < tokens; ++token) {
          // The largest magnitude is that of the columns that have places.
          std::vector<float> placed;
          for (const std::int32_t source : sources) {
            placed.push_back(source < 0 ? 0.0F : rows.values[static_cast<std::size_t>(token * 270 + source)]);
          }
          const Rounded expected = round_row(placed);
          expect_scale(scales[static_cast<std::size_t>(token)], expected.scale, token);
          for (int depth = 0; depth < chunks * 128; ++depth) {
            const auto at = std::int64_t{token / block * chunks + depth / 128} * block * 128 +
                            byte_operand_offset(block, token % block, depth % 128);
            // Where the instruction looks for a column, as its four lie in the weight's register.
            const int place = depth / 128 * 128 + place_of_byte_depth(depth % 128);
            const int column = place / 4 * 4 + place % 4 % 2 * 2 + place % 4 / 2;
            ASSERT_EQ(codes[static_cast<std::size_t>(at)],
                      column < 288 ? expected.codes[static_cast<std::size_t>(column)] : 0)
                << "token " << token << ", depth " << depth;
          }
        }
      }
    }
  }
}

Packed packed_table(int bits, std::int64_t group, const std::vector<float>& table) {
  UnpackedWeight weight = kernels::testing::make_weight({20, 300, group, bits, Decoding::kTable});
  weight.table = table;
  return pack(PackedWeight::pack(weight.view()));
}

TEST(CudaE4m3, IsKnownByItsTable) {
  EXPECT_TRUE(packed_table(8, 4096, e4m3_numbers()).is_e4m3);
  std::vector<float> other = e4m3_numbers();
  other[0x80] = 0.0F;  // in place of -0: codes are no longer bits of E4M3
  EXPECT_FALSE(packed_table(8, 4096, other).is_e4m3);
  other = e4m3_numbers();
  other[0x7F] = 480.0F;
  EXPECT_FALSE(packed_table(8, 4096, other).is_e4m3);
  EXPECT_FALSE(packed_table(4, 4096, std::vector<float>(16, 1.0F)).is_e4m3);
  EXPECT_FALSE(pack(PackedWeight::pack(kernels::testing::make_weight({20, 300, 4096, 8}).view())).is_e4m3);
}

TEST(CudaE4m3, HasARouteOfItsOwnWhereOneIsAskedFor) {
  const HopperClusters hopper = {{132, 66, 32, 16}};
  const auto text = [&](const Packed& packed, const HopperClusters& clusters, std::int32_t from) {
    return routes_text(routes_of(packed, DeviceArithmetic::kFloat8, clusters, from), DeviceArithmetic::kFloat8);
  };
  const Packed e4m3 = packed_table(8, 4096, e4m3_numbers());
  const std::string other = "cuda: skinny up to 64 tokens, expand + cuBLAS";
  EXPECT_EQ(text(e4m3, hopper, 9), "cuda: skinny up to 8 tokens, hopper (E4M3)");
  EXPECT_EQ(text(e4m3, hopper, kNever), other);
  EXPECT_EQ(text(e4m3, {}, 9), other);
  EXPECT_EQ(text(packed_table(8, 64, e4m3_numbers()), hopper, 9), other);
  EXPECT_EQ(text(packed_table(8, 4096, std::vector<float>(256, 0.5F)), hopper, 9), other);
}

struct AnyWidths {
  static bool round_float8(const RoundFloat8Call&, const Launch&, Report*) { return true; }
};

TEST(CudaRoundFloat8, SaysWhatItLacks) {
  using Functions = Checked<AnyWidths>;
  std::uint16_t number = 0;
  std::uint8_t code = 0;
  const std::int32_t source = 0;
  RoundFloat8Call call{};
  call.tokens = 65;
  const auto refusal = [&] {
    const Launch launch{};
    Report report{};
    const bool taken = Functions::round_float8(&call, &launch, &report);
    EXPECT_EQ(taken, report.failure == Failure::kNone);
    return std::string(report.text);
  };
  EXPECT_EQ(refusal(), "activations are rounded to E4M3 as numbers or as codes");
  call.tokens = 0;
  EXPECT_EQ(refusal(), "");
  call.tokens = 65;
  call.numbers = &number;
  EXPECT_EQ(refusal(), "");
  call.sources = &source;
  EXPECT_EQ(refusal(), "E4M3 numbers are written in the order of columns");
  call.codes = &code;
  EXPECT_EQ(refusal(), "activations are rounded to E4M3 as numbers or as codes");
  call.numbers = nullptr;
  call.block_tokens = 64;
  EXPECT_EQ(refusal(), "E4M3 codes are laid out for blocks of another number of tokens");
  call.block_tokens = 128;
  EXPECT_EQ(refusal(), "");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
