#include "lowbit/formats/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Codes random_codes(std::int64_t count, int bits, std::uint64_t seed) {
  const Random random(seed, "packing");
  Codes codes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(random.below(i, 1U << bits));
  return codes;
}

Codes counted(std::size_t count, std::uint32_t modulus) {
  Codes codes(count);
  for (std::size_t i = 0; i < count; ++i) codes[i] = static_cast<std::uint8_t>(i % modulus);
  return codes;
}

// The definition of the bit stream, a bit at a time.
bool stream_bit(const Words& words, std::int64_t position) {
  return ((words[static_cast<std::size_t>(position / 32)] >> (position % 32)) & 1U) != 0;
}

std::string message_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Packing, FollowsTheDefinitionOfTheBitStream) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t count : {1, 7, 31, 32, 33, 100}) {
      const Codes codes = random_codes(count, bits, 1);
      Words words(static_cast<std::size_t>(packed_words(count, bits)));
      pack_bits(codes, bits, words);
      for (std::int64_t j = 0; j < static_cast<std::int64_t>(words.size()) * 32; ++j) {
        const std::int64_t value = j / bits;
        const bool expected = value < count && ((codes[static_cast<std::size_t>(value)] >> (j % bits)) & 1) != 0;
        ASSERT_EQ(stream_bit(words, j), expected) << bits << " bits, " << count << " values, bit " << j;
      }
    }
  }
}

TEST(Packing, ReturnsEveryCodeOfEveryWidthAtEveryPlace) {
  for (int bits = 1; bits <= 8; ++bits) {
    // Each code stands once at each of the 32 places of a period.
    const std::int64_t columns = 33;
    const std::int64_t rows = 1 << bits;
    Codes codes;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < columns; ++column) {
        codes.push_back(static_cast<std::uint8_t>((row + column) % rows));
      }
    }
    EXPECT_EQ(unpack_rows(pack_rows(codes, rows, columns, bits), rows, columns, bits), codes) << bits;
    EXPECT_EQ(unpack_columns(pack_columns(codes, rows, columns, bits), rows, columns, bits), codes) << bits;
  }
}

TEST(Packing, RefusesAValueThatDoesNotFit) {
  const Codes codes = {1, 8, 2};
  EXPECT_THAT(message_of([&] { (void)pack_rows(codes, 1, 3, 3); }), HasSubstr("packing: value 8 does not fit 3 bits"));
  EXPECT_THAT(message_of([&] { (void)pack_rows(codes, 2, 3, 4); }), HasSubstr("packing: 3 values, expected 6"));
  EXPECT_THAT(message_of([&] { (void)unpack_rows(Words(1), 1, 9, 4); }), HasSubstr("packing: 1 words, expected 2"));
}

TEST(CompressedTensorsLayout, StoresSignedCodesWithAnOffset) {
  // Codes -8 .. -1 of the signed grid are 0 .. 7 here.
  EXPECT_THAT(pack_rows(counted(8, 8), 1, 8, 4), ElementsAre(0x76543210U));
}

TEST(CompressedTensorsLayout, PacksZerosDownTheRows) {
  // Two groups, nine rows: the first column holds 0..8, the second 15s.
  Codes zeros;
  for (std::uint8_t row = 0; row < 9; ++row) zeros.insert(zeros.end(), {row, 15});
  EXPECT_THAT(pack_columns(zeros, 9, 2, 4), ElementsAre(0x76543210U, 0xffffffffU, 0x8U, 0xfU));
}

TEST(GptqLayout, AgreesWithPublishedWords) {
  EXPECT_THAT(pack_gptq_codes(counted(8, 8), 1, 8, 4), ElementsAre(0x76543210U));
  EXPECT_THAT(pack_gptq_codes(counted(32, 8), 1, 32, 3), ElementsAre(0x88fac688U, 0xc688fac6U, 0xfac688faU));
}

TEST(GptqLayout, PutsOutputsSideBySide) {
  // Word r, column n holds the codes of inputs 8r .. 8r + 7 of output n.
  Codes codes(2 * 16, 0);
  codes[0 * 16 + 9] = 5;
  codes[1 * 16 + 0] = 7;
  EXPECT_THAT(pack_gptq_codes(codes, 2, 16, 4), ElementsAre(0U, 7U, 0x50U, 0U));
}

TEST(GptqLayout, StoresZerosLessOneInVersion1) {
  const Codes symmetric(8, 8);
  EXPECT_THAT(pack_gptq_zeros(symmetric, 8, 1, 4, GptqVersion::kV1), ElementsAre(0x77777777U));
  EXPECT_THAT(pack_gptq_zeros(symmetric, 8, 1, 4, GptqVersion::kV2), ElementsAre(0x88888888U));
}

TEST(GptqLayout, ReturnsEveryCodeAndZero) {
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    const std::int64_t out = 64;
    const std::int64_t in = 96;
    const Codes codes = random_codes(out * in, bits, 2);
    EXPECT_EQ(unpack_gptq_codes(pack_gptq_codes(codes, out, in, bits), out, in, bits), codes) << bits;
    // Every zero, 0 included, which version 1 stores as 2^bits - 1.
    Codes zeros(static_cast<std::size_t>(out * 4));
    for (std::size_t i = 0; i < zeros.size(); ++i) zeros[i] = static_cast<std::uint8_t>(i % (1U << bits));
    for (const GptqVersion version : {GptqVersion::kV1, GptqVersion::kV2}) {
      EXPECT_EQ(unpack_gptq_zeros(pack_gptq_zeros(zeros, out, 4, bits, version), out, 4, bits, version), zeros) << bits;
    }
  }
}

TEST(GptqLayout, Version1AddedToItsWordsIsVersion2) {
  Codes zeros(16);
  for (std::size_t i = 0; i < 16; ++i) zeros[i] = static_cast<std::uint8_t>(1 + i % 15);
  const Words v1 = pack_gptq_zeros(zeros, 16, 1, 4, GptqVersion::kV1);
  const Words v2 = pack_gptq_zeros(zeros, 16, 1, 4, GptqVersion::kV2);
  for (std::size_t i = 0; i < v1.size(); ++i) EXPECT_EQ(v1[i] + 0x11111111U, v2[i]);
}

TEST(GptqLayout, RefusesRowsThatDoNotFillWords) {
  EXPECT_THAT(message_of([] { (void)pack_gptq_codes(Codes(12), 1, 12, 4); }),
              HasSubstr("12 input columns of 4 bits do not fill whole 32-bit words"));
}

TEST(AwqLayout, InterleavesOutputsWithinAWord) {
  EXPECT_THAT(pack_awq(counted(8, 8), 8, 1), ElementsAre(0x75316420U));
  // Column j sits in nibble {0, 4, 1, 5, 2, 6, 3, 7}[j].
  const std::array<int, 8> nibble = {0, 4, 1, 5, 2, 6, 3, 7};
  for (std::size_t j = 0; j < 8; ++j) {
    Codes one(8, 0);
    one[j] = 15;
    EXPECT_EQ(pack_awq(one, 8, 1)[0], 0xfU << (4 * nibble[j])) << j;
  }
}

TEST(AwqLayout, ReturnsEveryCode) {
  const Codes codes = random_codes(24 * 5, 4, 3);
  EXPECT_EQ(unpack_awq(pack_awq(codes, 24, 5), 24, 5), codes);
}

}  // namespace
}  // namespace lowbit
