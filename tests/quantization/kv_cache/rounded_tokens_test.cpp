#include "quantization/kv_cache/rounded_tokens.h"

#include <gmock/gmock.h>

#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "quantization/kv_cache/cache_cases.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using Groups = KvRounding::Groups;
using testing::error_text;
using testing::normal;

at::Tensor rounded(const at::Tensor& x, const KvRounding& rounding) {
  RoundedTokens tokens(rounding);
  tokens.append(x);
  return tokens.values(0, tokens.length());
}

// Of one group, as it is defined, in float32.
std::vector<float> slow_group(const std::vector<float>& x, const KvRounding& rounding) {
  const auto half = [](float value) { return half_to_float(float_to_half(value)); };
  const float least = *std::min_element(x.begin(), x.end());
  const float most = *std::max_element(x.begin(), x.end());
  std::vector<float> result;
  if (rounding.symmetric) {
    const float top = static_cast<float>((1 << (rounding.bits - 1)) - 1);
    const float scale = half(std::max(-least, most) / top);
    for (const float value : x)
      result.push_back(scale == 0 ? 0 : std::clamp(std::nearbyint(value / scale), -top - 1, top) * scale);
    return result;
  }
  const float top = static_cast<float>((1 << rounding.bits) - 1);
  const float minimum = half(least);
  const float scale = half(std::max(most - minimum, 0.0F) / top);  // a minimum may be rounded above its group
  for (const float value : x) {
    const float code = scale == 0 ? 0 : std::clamp(std::nearbyint((value - minimum) / scale), 0.0F, top);
    result.push_back(code * scale + minimum);
  }
  return result;
}

// Token by token and channel by channel.
at::Tensor slow_rounded(const at::Tensor& x, const KvRounding& rounding) {
  at::Tensor result = x.clone();
  auto out = result.accessor<float, 4>();
  const bool of_tokens = rounding.groups == Groups::kOfTokens;
  const std::int64_t length = x.size(of_tokens ? 2 : 3);
  const std::int64_t width = rounding.group > 0 ? rounding.group : length;
  for (std::int64_t b = 0; b < x.size(0); ++b) {
    for (std::int64_t h = 0; h < x.size(1); ++h) {
      for (std::int64_t other = 0; other < x.size(of_tokens ? 3 : 2); ++other) {
        const auto at = [&](std::int64_t i) -> float& { return of_tokens ? out[b][h][i][other] : out[b][h][other][i]; };
        for (std::int64_t begin = 0; begin < length; begin += width) {
          std::vector<float> group;
          for (std::int64_t i = begin; i < std::min(begin + width, length); ++i) group.push_back(at(i));
          group = slow_group(group, rounding);
          for (std::size_t i = 0; i < group.size(); ++i) at(begin + static_cast<std::int64_t>(i)) = group[i];
        }
      }
    }
  }
  return result;
}

TEST(RoundedTokens, AreWhatTheDefinitionSays) {
  const at::Tensor x = normal({2, 3, 16, 20}, "x");
  for (const Groups groups : {Groups::kOfChannels, Groups::kOfTokens}) {
    for (int bits = 2; bits <= 8; ++bits) {
      for (const std::int64_t group : {1, 8, 16}) {  // 20 channels end in groups of 4
        for (const bool symmetric : {false, true}) {
          const KvRounding rounding{.groups = groups, .bits = bits, .group = group, .symmetric = symmetric};
          EXPECT_TRUE(rounded(x, rounding).equal(slow_rounded(x, rounding))) << bits << " bits, group " << group;
        }
      }
    }
  }
  const KvRounding head{.groups = Groups::kOfChannels, .bits = 4, .group = -1};
  EXPECT_TRUE(rounded(x, head).equal(slow_rounded(x, head)));
}

TEST(RoundedTokens, ErrByHalfAStepAndTheRoundingOfMinimumAndScale) {
  const at::Tensor x = normal({1, 2, 32, 32}, "x");
  for (const int bits : {2, 4, 8}) {
    const at::Tensor error = (rounded(x, {.groups = Groups::kOfTokens, .bits = bits, .group = 32}) - x).abs();
    const at::Tensor range = x.amax({2}, true) - x.amin({2}, true);
    // Float16 moves the minimum by 2^-11 of itself at most, and the scale by as much at each of the 2^bits - 1 steps.
    const at::Tensor bound = range / ((1 << bits) - 1) / 2 + (range + x.amin({2}, true).abs()) * std::pow(2.0, -10);
    EXPECT_TRUE(error.le(bound).all().item<bool>()) << bits;
    EXPECT_GT(error.max().item<double>(), 0);
  }
}

TEST(RoundedTokens, KeepConstantGroupsAsTheyAre) {
  for (const Groups groups : {Groups::kOfChannels, Groups::kOfTokens}) {
    for (const double value : {0.0, -1.5}) {
      const at::Tensor x = make_full({1, 1, 8, 16}, value, DType::kFloat32);
      EXPECT_TRUE(rounded(x, {.groups = groups, .bits = 2, .group = 8}).equal(x));
    }
  }
  const at::Tensor zeros = make_full({1, 1, 8, 16}, 0, DType::kFloat32);
  EXPECT_TRUE(rounded(zeros, {.bits = 2, .group = 8, .symmetric = true}).equal(zeros));
}

TEST(RoundedTokens, AreTheSameHoweverTheyCome) {
  const at::Tensor x = normal({2, 2, 24, 20}, "x");
  for (const Groups groups : {Groups::kOfChannels, Groups::kOfTokens}) {
    const KvRounding rounding{.groups = groups, .bits = 3, .group = 4};
    RoundedTokens in_parts(rounding);
    for (const auto& [begin, count] : {std::pair{0, 8}, {8, 4}, {12, 0}, {12, 12}}) {
      in_parts.append(x.narrow(2, begin, count));
    }
    EXPECT_TRUE(in_parts.values(0, 24).equal(rounded(x, rounding)));
    EXPECT_TRUE(in_parts.values(8, 12).equal(rounded(x, rounding).narrow(2, 8, 12)));
  }
}

// Three bits a number, 2 heads of 20 channels: 120 bits, so four words a token.
TEST(RoundedTokens, TakeWhatTheyHold) {
  const at::Tensor x = normal({2, 2, 16, 20}, "x");
  const auto bytes = [&](const KvRounding& rounding) {
    RoundedTokens tokens(rounding);
    tokens.append(x);
    EXPECT_EQ(tokens.length(), 16);
    return tokens.bytes();
  };
  constexpr std::int64_t kCodes = 2 * 16 * 4 * 4;
  // Per token: three groups a head (8, 8, 4 channels). Per channel: two groups of 8 tokens for each of 40 channels.
  EXPECT_EQ(bytes({.groups = Groups::kOfChannels, .bits = 3, .group = 8}), kCodes + 2 * 16 * 2 * 3 * 4);
  EXPECT_EQ(bytes({.groups = Groups::kOfTokens, .bits = 3, .group = 8}), kCodes + 2 * 2 * 40 * 4);
  EXPECT_EQ(bytes({.groups = Groups::kOfTokens, .bits = 3, .group = 8, .symmetric = true}), kCodes + 2 * 2 * 40 * 2);
  EXPECT_EQ(bytes({.groups = Groups::kOfTokens, .bits = 3, .group = 8, .scale = ScaleType::kFloat32}),
            kCodes + 2 * 2 * 40 * 8);
  EXPECT_EQ(RoundedTokens({}).bytes(), 0);
}

// The paper's reason for rounding keys per channel: one that is large in every token ruins its token's groups.
TEST(RoundedTokens, WithALargeChannelAreNearerPerChannel) {
  at::Tensor keys = normal({1, 2, 32, 32}, "outliers");
  keys.select(3, 5).add_(20);
  const auto error = [&](Groups groups) {
    return (rounded(keys, {.groups = groups, .bits = 2, .group = 32}) - keys).square().mean().item<double>();
  };
  EXPECT_LT(error(Groups::kOfTokens), 0.1 * error(Groups::kOfChannels));
}

TEST(RoundedTokens, RefuseNumbersThatTheyCannotHold) {
  at::Tensor x = normal({1, 1, 2, 8}, "x");
  x.select(3, 2).fill_(1e5);
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)rounded(-x, {.bits = 4, .group = 8}); }),
            "KV cache: -100000 is too large for a scale in float16; set 'scale: float32'");
  EXPECT_NO_THROW((void)rounded(x, {.bits = 4, .group = 8, .scale = ScaleType::kBFloat16}));
  for (const double value : {std::nan(""), 3e38}) {  // with -3e38 a spread of more than float32 holds
    at::Tensor y = x.clone();
    y.select(3, 2).fill_(value);
    y.select(3, 3).fill_(-3e38);
    EXPECT_EQ(
        error_text(ErrorCode::kData, [&] { (void)rounded(y, {.bits = 4, .group = 8, .scale = ScaleType::kFloat32}); }),
        "KV cache: a key or value is not finite; the model's numbers overflow or are damaged");
  }
  x.select(3, 2).fill_(std::nan(""));
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)rounded(x, {.bits = 4, .group = 8}); }),
            "KV cache: a key or value is not finite; the model's numbers overflow or are damaged");
}

TEST(KvRounding, SaysWhatANumberTakes) {
  EXPECT_EQ((KvRounding{.bits = 2, .group = 32}).bits_per_number(64), 3);
  EXPECT_EQ((KvRounding{.bits = 8, .group = -1, .symmetric = true}).bits_per_number(64), 8.25);
  EXPECT_EQ((KvRounding{.groups = Groups::kOfTokens, .bits = 4, .group = 128}).bits_per_number(64), 4.25);
}

}  // namespace
}  // namespace lowbit
