#include "lowbit/formats/ggml_blocks.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/containers/gguf.h"
#include "support/error_text.h"
#include "support/source_folder.h"

namespace lowbit {
namespace {

using testing::error_text;
using Bytes = std::vector<std::byte>;

std::vector<float> decoded(StorageType type, std::span<const std::byte> data) {
  const BlockSize block = block_size(type);
  std::vector<float> values(data.size() / static_cast<std::size_t>(block.bytes) *
                            static_cast<std::size_t>(block.elements));
  dequantize_blocks(type, data, values);
  return values;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

Bytes encoded(StorageType type, std::span<const float> values) {
  const BlockSize block = block_size(type);
  Bytes bytes(values.size() / static_cast<std::size_t>(block.elements) * static_cast<std::size_t>(block.bytes));
  quantize_blocks(type, values, bytes);
  return bytes;
}

// Printed by the reference program for a block of bytes (37 i + 11) mod 256 with d = 0.5 at `scale`, and m = -1 or
// dmin = 0.25 at `second`; the sum of y[i], the sum of (i + 1) y[i], and samples. All are exact in float32.
struct DecodeVector {
  StorageType type;
  int scale;
  int second;
  std::uint16_t second_value;
  double sum;
  double weighted;
  std::map<int, float> samples;
};

Bytes pattern_block(const DecodeVector& vector) {
  Bytes bytes(static_cast<std::size_t>(block_size(vector.type).bytes));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>((37 * i + 11) % 256);
  const std::uint16_t half = 0x3800;
  if (vector.type == StorageType::kMXFP4) {
    bytes[0] = std::byte{128};
  } else {
    std::memcpy(bytes.data() + vector.scale, &half, sizeof half);
  }
  if (vector.second >= 0) std::memcpy(bytes.data() + vector.second, &vector.second_value, sizeof half);
  return bytes;
}

// What the reference program makes of the block.
std::vector<DecodeVector> decode_vectors() {
  constexpr std::uint16_t kMinusOne = 0xBC00;
  constexpr std::uint16_t kQuarter = 0x3400;
  using T = StorageType;
  return {
      {T::kQ4_0, 0, -1, 0, -10.5, -259, {{0, -1.5}, {1, 1}, {15, -4}, {16, -1.5}, {31, 0}}},
      {T::kQ4_1, 0, 2, kMinusOne, 90.5, 1463.5, {{0, 6.5}, {1, 1}, {15, 4}, {16, 3.5}, {31, 5}}},
      {T::kQ5_0, 0, -1, 0, 7.5, 56, {{0, 4.5}, {1, -1}, {15, -6}, {16, 7}, {31, 0.5}}},
      {T::kQ5_1, 0, 2, kMinusOne, 220.5, 3422.5, {{0, 8.5}, {1, 11}, {15, 14}, {16, 8.5}, {31, 1.5}}},
      {T::kQ8_0, 0, -1, 0, -88, -4040, {{0, 42.5}, {1, 61}, {15, -64}, {16, -45.5}, {31, -24}}},
      {T::kQ2_K,
       80,
       82,
       kQuarter,
       1029.5,
       121565,
       {{0, 16.5}, {1, 0}, {16, -0.75}, {32, 3.75}, {63, 3.25}, {100, 10}, {127, 21}, {200, 4}, {255, 2.25}}},
      {T::kQ3_K,
       108,
       -1,
       0,
       479,
       88572.5,
       {{0, 40.5}, {1, -54}, {16, -48}, {31, 32}, {63, 5}, {64, 17}, {127, 36}, {200, 12.5}, {255, 21}}},
      {T::kQ4_K,
       0,
       2,
       kQuarter,
       27220,
       3786420,
       {{0, 157.75}, {1, -12.75}, {32, 4}, {63, 20}, {64, 210.25}, {128, 211.5}, {200, 69.25}, {255, 24.25}}},
      {T::kQ5_K,
       0,
       2,
       kQuarter,
       58108,
       8013724,
       {{0, 405.75}, {1, -12.75}, {32, 56}, {64, 210.25}, {100, 117.5}, {127, -1.5}, {255, 54.25}}},
      {T::kQ6_K,
       208,
       -1,
       0,
       2306,
       392210,
       {{0, -715.5}, {1, 848}, {16, -216}, {32, 115.5}, {63, -290}, {64, -1520}, {127, 750}, {255, -30}}},
      {T::kTQ1_0, 52, -1, 0, -1, -65.5, {{0, -0.5}, {16, 0}, {100, 0.5}, {127, -0.5}}},
      {T::kTQ2_0, 64, -1, 0, 64.5, 8622.5, {{0, 1}, {1, -0.5}, {31, 0.5}, {64, -0.5}, {255, -0.5}}},
      {T::kMXFP4, 0, -1, 0, 25, 638, {{0, 0}, {1, 6}, {15, -3}, {16, 3}, {31, 6}}},
  };
}

TEST(GgmlBlocks, DecodeAsTheReferenceProgram) {
  for (const DecodeVector& vector : decode_vectors()) {
    SCOPED_TRACE(storage_type_name(vector.type));
    const std::vector<float> y = decoded(vector.type, pattern_block(vector));
    double sum = 0;
    double weighted = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      sum += y[i];
      weighted += static_cast<double>(i + 1) * y[i];
    }
    EXPECT_EQ(sum, vector.sum);
    EXPECT_EQ(weighted, vector.weighted);
    for (const auto& [index, value] : vector.samples) EXPECT_EQ(y[static_cast<std::size_t>(index)], value) << index;
  }
}

TEST(GgmlBlocks, DecodeRandomBlocksAsAnIndependentImplementation) {
  const auto file = GgufFile::open(testing::source_folder() / "tests/golden/formats/ggml_blocks.gguf");
  int types = 0;
  for (const TensorEntry& blocks : file->tensors()) {
    if (!blocks.name.ends_with(".blocks")) continue;
    const TensorEntry* values = file->find(blocks.name.substr(0, blocks.name.size() - 6) + "values");
    ASSERT_NE(values, nullptr);
    const std::vector<float> y = decoded(blocks.type, blocks.data);
    ASSERT_EQ(values->data.size(), y.size() * sizeof(float));
    for (std::size_t i = 0; i < y.size(); ++i) {
      float expected = 0;
      std::memcpy(&expected, values->data.data() + i * sizeof expected, sizeof expected);
      EXPECT_EQ(y[i], expected) << blocks.name << " element " << i;
    }
    ++types;
  }
  EXPECT_EQ(types, 13);
}

TEST(GgmlBlocks, DecodeIntermediateBlocks) {
  Bytes bytes(292);
  const float d = 0.25F;
  std::memcpy(bytes.data(), &d, sizeof d);
  for (std::size_t i = 0; i < 256; ++i) bytes[4 + i] = static_cast<std::byte>(i);
  const std::vector<float> y = decoded(StorageType::kQ8_K, bytes);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(y[static_cast<std::size_t>(i)], 0.25F * static_cast<float>(i < 128 ? i : i - 256));
}

TEST(GgmlBlocks, DecodePlainTypesAtAnyAddress) {
  const std::array<float, 3> plain = {1.5F, -2.0F, 0.1F};
  Bytes bytes(1 + sizeof plain);
  std::memcpy(bytes.data() + 1, plain.data(), sizeof plain);
  EXPECT_EQ(decoded(StorageType::kF32, std::span(bytes).subspan(1)), (std::vector<float>{1.5F, -2.0F, 0.1F}));
  const std::array<std::uint16_t, 2> halves = {0x3C00, 0xC000};
  std::memcpy(bytes.data() + 1, halves.data(), sizeof halves);
  EXPECT_EQ(decoded(StorageType::kF16, std::span(bytes).subspan(1, 4)), (std::vector<float>{1.0F, -2.0F}));
  const std::array<std::uint16_t, 2> brains = {0x3F80, 0xC000};
  std::memcpy(bytes.data() + 1, brains.data(), sizeof brains);
  EXPECT_EQ(decoded(StorageType::kBF16, std::span(bytes).subspan(1, 4)), (std::vector<float>{1.0F, -2.0F}));
  EXPECT_TRUE(decoded(StorageType::kQ4_0, {}).empty());
}

// The input of the reference program's encode vectors.
std::vector<float> encode_input() {
  std::vector<float> x(32);
  for (int i = 0; i < 32; ++i) x[static_cast<std::size_t>(i)] = static_cast<float>((73 * i + 19) % 257 - 128) / 32.0F;
  return x;
}

TEST(GgmlBlocks, EncodeAsTheReferenceProgram) {
  const std::vector<float> x = encode_input();
  const std::vector<std::tuple<StorageType, std::string, double>> vectors = {
      {StorageType::kQ4_0, "9037a1f63a8fc3085da1f53a7fc3085da0e5", 0.019506931},
      {StorageType::kQ4_1, "b33790c3a1f63a7fc3085da1e52a7fc3085c90e5", 0.020220011},
      {StorageType::kQ5_0, "90336c2693c942eb55ff9600aa41db54fe860fa931da", 0.004736423},
      {StorageType::kQ5_1, "743390c36c3693c942eb65ff9600aa41eb55ff9600a941db", 0.004275888},
      {StorageType::kQ8_0, "9f278eda2773b2ff4c8ad72470affc4887d4216dacf94584d11d6aa9f64281ce1a67", 0.000073450},
  };
  for (const auto& [type, expected, error] : vectors) {
    SCOPED_TRACE(storage_type_name(type));
    const Bytes bytes = encoded(type, x);
    EXPECT_EQ(hex(bytes), expected);
    const std::vector<float> y = decoded(type, bytes);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += std::pow(double{y[i]} - double{x[i]}, 2);
    EXPECT_NEAR(sum / 32, error, 0.5e-9);  // printed with nine decimals
  }
}

TEST(GgmlBlocks, EncodeByTheRule) {
  std::vector<float> x(32);
  for (int i = 0; i < 32; ++i) x[static_cast<std::size_t>(i)] = static_cast<float>(i - 16);
  EXPECT_EQ(hex(encoded(StorageType::kQ4_0, x)), "0040809191a2a2b3b3c4c4d5d5e6e6f7f7f8");
}

TEST(GgmlBlocks, EncodeRandomRowsAsAnIndependentImplementation) {
  const auto file = GgufFile::open(testing::source_folder() / "tests/golden/formats/ggml_blocks.gguf");
  const TensorEntry* input = file->find("encode.values");
  ASSERT_NE(input, nullptr);
  const std::vector<float> x = decoded(StorageType::kF32, input->data);
  for (const char* name : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"}) {
    const TensorEntry* expected = file->find(std::string(name) + ".encoded");
    ASSERT_NE(expected, nullptr);
    EXPECT_EQ(hex(encoded(expected->type, x)), hex(expected->data)) << name;
  }
}

TEST(GgmlBlocks, EncodeTinyValuesAsZero) {
  const std::vector<float> x(32, 1e-42F);  // the inverse of the scale is infinite
  for (const StorageType type : {StorageType::kQ4_0, StorageType::kQ4_1, StorageType::kQ8_0}) {
    EXPECT_EQ(decoded(type, encoded(type, x)), std::vector<float>(32, 0.0F)) << storage_type_name(type);
  }
}

TEST(GgmlBlocks, RefuseValuesThatCannotBeEncoded) {
  std::vector<float> x(64, 1.0F);
  Bytes out(36);
  const auto message = [&](StorageType type) {
    const std::span<std::byte> room = std::span(out).first(static_cast<std::size_t>(2 * block_size(type).bytes));
    return error_text(ErrorCode::kData, [&] { quantize_blocks(type, x, room); });
  };
  x[33] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message(StorageType::kQ4_0), "block 1 of Q4_0: value 1 is nan, expected a finite number");
  x[33] = -1e6F;
  EXPECT_EQ(message(StorageType::kQ4_0), "block 1 of Q4_0: 125000 is too large for a block's float16 scale");
  out.resize(40);
  x[33] = -3e38F;
  x[34] = 3e38F;
  EXPECT_EQ(message(StorageType::kQ4_1), "block 1 of Q4_1: a range from -3e+38 to 3e+38 is too large for a block");
}

TEST(GgmlBlocks, RefuseSizesThatDoNotFit) {
  std::vector<float> x(33);
  Bytes bytes(36);
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { dequantize_blocks(StorageType::kQ4_0, bytes, x); }),
            "33 values are no whole number of Q4_0 blocks of 32");
  x.resize(32);
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { dequantize_blocks(StorageType::kQ4_0, bytes, x); }),
            "32 values of Q4_0 take 18 bytes, but 36 are given");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { quantize_blocks(StorageType::kQ4_0, x, bytes); }),
            "32 values cannot be written as Q4_0 in 36 bytes, expected whole blocks of 32 values in 18 bytes");
}

TEST(GgmlBlocks, NameTypesThatTheyCannotHandle) {
  std::vector<float> x(32);
  Bytes bytes(18);
  EXPECT_EQ(error_text(ErrorCode::kUnsupported, [&] { dequantize_blocks(StorageType::kNVFP4, bytes, x); }),
            "tensors of type NVFP4 cannot be decoded");
  EXPECT_EQ(error_text(ErrorCode::kUnsupported, [&] { quantize_blocks(StorageType::kQ4_K, x, bytes); }),
            "there is no encoder for type Q4_K");
}

// IEEE 754 binary16 by its definition.
double half_by_definition(unsigned half) {
  const int exponent = static_cast<int>(half >> 10 & 31U);
  const double fraction = half & 1023U;
  const double sign = (half & 0x8000U) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : std::nan("");
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

TEST(Half, DecodesEveryNumberByDefinition) {
  std::vector<std::uint16_t> all(65536);
  for (unsigned i = 0; i < 65536; ++i) all[i] = static_cast<std::uint16_t>(i);
  const std::vector<float> values = decoded(StorageType::kF16, std::as_bytes(std::span(all)));
  for (unsigned i = 0; i < 65536; ++i) {
    const double expected = half_by_definition(i);
    // Vectors of the processor's, and one by one.
    for (const float value : {values[i], half_to_float(all[i])}) {
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(value)) << i;
      } else {
        ASSERT_EQ(double{value}, expected) << i;
      }
      ASSERT_EQ(std::signbit(value), i >= 32768) << i;
    }
  }
}

TEST(Half, DecodesEveryBfloat16ByDefinition) {
  std::vector<std::uint16_t> all(65536);
  for (unsigned i = 0; i < 65536; ++i) all[i] = static_cast<std::uint16_t>(i);
  const std::vector<float> values = decoded(StorageType::kBF16, std::as_bytes(std::span(all)));
  for (unsigned i = 0; i < 65536; ++i) ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), i << 16);
}

// Every half, the midpoint to the next (a tie, which must go to the even one), and the floats beside that midpoint.
TEST(Half, RoundsToNearestEven) {
  for (unsigned i = 0; i < 0x7C00; ++i) {
    const double low = half_by_definition(i);
    const double high = i == 0x7BFF ? 65536.0 : half_by_definition(i + 1);
    const auto middle = static_cast<float>((low + high) / 2);  // exact: one bit more than a half has
    ASSERT_EQ(float_to_half(static_cast<float>(low)), i);
    ASSERT_EQ(float_to_half(middle), i % 2 == 0 ? i : i + 1);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0F)), i);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9F)), i + 1);
    ASSERT_EQ(float_to_half(-std::nextafter(middle, 1e9F)), (i + 1) | 0x8000U);
  }
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_EQ(float_to_half(1e-45F), 0);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::bit_cast<float>(0x7F800001U)))));
}

TEST(Half, RoundsToNearestEvenBfloat16) {
  for (std::uint32_t i = 0; i < 0x7F80; ++i) {
    const std::uint32_t middle = i << 16 | 0x8000U;
    ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>(i << 16)), i);
    ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>(middle)), i % 2 == 0 ? i : i + 1);
    ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>(middle - 1)), i);
    ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>(middle + 1)), i + 1);
  }
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(std::bit_cast<float>(0x7F800001U)))));
}

}  // namespace
}  // namespace lowbit
