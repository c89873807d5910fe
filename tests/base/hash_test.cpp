#include "lowbit/base/hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace lowbit {
namespace {

// The hexadecimal values are from the Python package xxhash: tests/golden/base/xxh3_128.py.
TEST(Hash, IsXxh3With128Bits) {
  EXPECT_EQ(hash_of(std::string_view()).hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of(std::string_view("lowbit")).hex(), "d2b7e1d75ec86021fcb55dd2e4d54401");
  EXPECT_EQ(hash_of(std::string_view("The quick brown fox jumps over the lazy dog")).hex(),
            "ddd650205ca3e7fa24a1cc2e3a8a7651");
  std::vector<unsigned char> bytes(1000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i % 251);
  EXPECT_EQ(hash_of(std::as_bytes(std::span(bytes))).hex(), "18bf41bc8229e27733ef703fb2b20ed1");
}

TEST(Hasher, HashesLengthsAndValuesInLittleEndianOrder) {
  EXPECT_EQ(Hasher().add("ab").add("c").add(-7).add(0.5).finish().hex(), "5de294cc30eeafb36b46cd8c7327a00a");
}

TEST(Hasher, KeepsNeighbouringStringsApart) {
  EXPECT_NE(Hasher().add("ab").add("c").finish(), Hasher().add("a").add("bc").finish());
  EXPECT_NE(Hasher().add("").finish(), Hasher().finish());
}

TEST(Hasher, DoesNotDependOnTheCutIntoChunks) {
  const std::string text(5000, 'x');
  for (const std::size_t cut : {std::size_t{1}, std::size_t{255}, std::size_t{4999}}) {
    Hasher hasher;
    hasher.add_bytes(text.data(), cut).add_bytes(text.data() + cut, text.size() - cut);
    EXPECT_EQ(hasher.finish(), hash_of(text));
  }
}

TEST(Hasher, GoesOnAfterFinish) {
  Hasher hasher;
  hasher.add_bytes("ab", 2);
  EXPECT_EQ(hasher.finish(), hash_of(std::string_view("ab")));
  hasher.add_bytes("c", 1);
  EXPECT_EQ(hasher.finish(), hash_of(std::string_view("abc")));
}

TEST(Hash, WritesLeadingZeros) { EXPECT_EQ((Hash{0xa, 0x1}).hex(), "0000000000000001000000000000000a"); }

}  // namespace
}  // namespace lowbit
