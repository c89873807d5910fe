#include "quantization/kv_cache/rounded_cache.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/tensor/ops.h"
#include "quantization/kv_cache/cache_cases.h"
#include "support/source_folder.h"

namespace lowbit {
namespace {

using testing::decode;
using testing::kivi;
using testing::read;
using testing::Tokens;

constexpr std::int64_t kWindow = 16;

at::Tensor exact(const Tokens& tokens, std::int64_t prompt) {
  const auto cache = make_float_kv_cache(0);
  return decode(*cache, tokens, prompt);
}

// Attention of each token behind the prompt over tokens that are rounded afresh each time.
at::Tensor slow_decode(const RoundedCacheOptions& options, const Tokens& tokens, std::int64_t prompt) {
  std::vector<at::Tensor> outputs;
  const auto seen = [&](const at::Tensor& x, const RoundedSide& side, std::int64_t token) {
    const std::int64_t count = side.rounded(token);
    const at::Tensor recent = x.narrow(2, count, token + 1 - count);
    if (count == 0) return recent.contiguous();
    RoundedTokens past(side.rounding);
    past.append(x.narrow(2, 0, count));
    return concatenate({past.values(0, count), recent}, 2);
  };
  for (std::int64_t t = prompt; t < tokens.count(); ++t) {
    outputs.push_back(causal_attention(tokens.q.narrow(2, t, 1), seen(tokens.k, options.keys, t),
                                       seen(tokens.v, options.values, t), testing::kScoreScale, 0, true));
  }
  return concatenate(outputs, 2);
}

std::vector<RoundedCacheOptions> several_options() {
  const RoundedSide per_token{.rounding = {.bits = 3, .group = 8}, .kept = 5};
  const RoundedSide per_channel{
      .rounding = {.groups = KvRounding::Groups::kOfTokens, .bits = 4, .group = 4, .symmetric = true},
      .kept = 3,
      .block = 4};
  return {kivi(2, 8, kWindow), kivi(4, 4, 8), {per_token, per_token}, {per_channel, per_channel}};
}

TEST(RoundedSide, RoundsKiviKeysInBlocksAndValuesOneByOne) {
  const RoundedCacheOptions options = kivi(2, 8, kWindow);
  std::vector<std::int64_t> keys;
  std::vector<std::int64_t> values;
  for (const std::int64_t length : {0, 15, 16, 17, 18, 31, 32, 33}) {
    keys.push_back(options.keys.rounded(length));
    values.push_back(options.values.rounded(length));
  }
  EXPECT_EQ(keys, (std::vector<std::int64_t>{0, 0, 16, 16, 16, 16, 32, 32}));
  EXPECT_EQ(values, (std::vector<std::int64_t>{0, 0, 0, 1, 2, 15, 16, 17}));
}

TEST(RoundedCache, EqualsTheAuthorsProgram) {
  const Json golden =
      parse_json(read_file(testing::source_folder() / "tests/golden/quantization/kivi.json"), "kivi.json");
  const auto number = [&](const char* name) { return golden.at(name).get<std::int64_t>(); };
  const auto tensor = [&](const Json& values, std::int64_t heads, std::int64_t tokens, double unit) {
    const auto numbers = values.get<std::vector<double>>();
    return to_dtype(tensor_of(std::span<const double>(numbers)) * unit, DType::kFloat32)
        .view({1, heads, tokens, number("channels")});
  };
  const auto all = [&](const char* name, const char* heads) {
    return tensor(golden.at(name), number(heads), number("tokens"), golden.at("unit").get<double>());
  };
  const Tokens tokens(all("q", "heads"), all("k", "kv_heads"), all("v", "kv_heads"));
  for (const Json& entry : golden.at("cases")) {
    const RoundedCacheOptions options =
        kivi(entry.at("bits").get<int>(), number("group"), number("residual"), ScaleType::kFloat32);
    for (const auto& [name, side, x] :
         {std::tuple{"keys", &options.keys, &tokens.k}, std::tuple{"values", &options.values, &tokens.v}}) {
      RoundedTokens past(side->rounding);
      past.append(x->narrow(2, 0, 32));
      EXPECT_TRUE(past.values(0, 32).equal(tensor(entry.at(name), number("kv_heads"), 32, 1))) << name;
    }
    const auto cache = make_rounded_kv_cache(options, 0);
    const Tokens whole = tokens;
    std::vector<at::Tensor> outputs;
    (void)cache->append_and_attend(whole.part(0, number("prompt")).q, whole.part(0, number("prompt")).k,
                                   whole.part(0, number("prompt")).v, 0.25, true);
    for (std::int64_t t = number("prompt"); t < whole.count(); ++t) {
      const Tokens one = whole.part(t, 1);
      outputs.push_back(cache->append_and_attend(one.q, one.k, one.v, 0.25, true));
    }
    const at::Tensor expected = tensor(entry.at("outputs"), number("heads"), number("tokens") - number("prompt"), 1);
    // Scores of at most 16 products below 4 x 8 in float32, then weights of their softmax and sums of 44 values below
    // 2: an error of 16 x 2^-24 x 128 in a score is one of that share in a weight.
    EXPECT_LT((concatenate(outputs, 2) - expected).abs().max().item<double>(), 3e-4);
  }
}

TEST(RoundedCache, ShowsEachTokenItsPastRoundedAndItsWindowAsItIs) {
  for (const RoundedCacheOptions& options : several_options()) {
    for (const std::int64_t prompt : {0, 1, 7, 15, 16, 17, 33}) {
      const Tokens tokens(41, 2);
      const auto cache = make_rounded_kv_cache(options, 0);
      EXPECT_TRUE(decode(*cache, tokens, prompt).equal(slow_decode(options, tokens, prompt))) << prompt;
      EXPECT_EQ(cache->length(), 41);
    }
  }
}

TEST(RoundedCache, ReadsManyTokensOneByOneAsSoManyCallsDo) {
  for (const RoundedCacheOptions& options : several_options()) {
    for (const std::int64_t prompt : {0, 15, 17}) {
      const Tokens tokens(41, 2);
      const auto one_by_one = make_rounded_kv_cache(options, 0);
      const at::Tensor expected = decode(*one_by_one, tokens, prompt);
      const auto at_once = make_rounded_kv_cache(options, 0);
      if (prompt > 0) (void)read(*at_once, tokens.part(0, prompt));
      std::vector<at::Tensor> outputs;
      for (const auto& [begin, count] : {std::pair{prompt, std::int64_t{9}}, {prompt + 9, 41 - prompt - 9}}) {
        const Tokens part = tokens.part(begin, count);
        outputs.push_back(at_once->append_and_attend_each(part.q, part.k, part.v, testing::kScoreScale, true));
      }
      EXPECT_TRUE(concatenate(outputs, 2).equal(expected)) << prompt;
      EXPECT_EQ(at_once->bytes(), one_by_one->bytes());
      EXPECT_EQ(at_once->length(), one_by_one->length());
    }
  }
}

TEST(RoundedCache, IsExactForThePromptAndUntilTheWindowIsFull) {
  const Tokens tokens(kWindow);
  const auto cache = make_rounded_kv_cache(kivi(2, 8, kWindow), 0);
  EXPECT_TRUE(decode(*cache, tokens, 0).equal(exact(tokens, 0)));
  const Tokens prompt(100);
  const auto whole = make_float_kv_cache(0);
  const auto narrow = make_rounded_kv_cache(kivi(2, 8, kWindow), 0);
  EXPECT_TRUE(read(*narrow, prompt).equal(read(*whole, prompt)));
}

TEST(RoundedCache, NearsTheFloatOneAsBitsGrow) {
  const Tokens tokens(64);
  const at::Tensor expected = exact(tokens, 10);
  double last = expected.norm().item<double>();
  for (const int bits : {2, 4, 8}) {
    const auto cache = make_rounded_kv_cache(kivi(bits, 4, 4), 0);
    const double error = (decode(*cache, tokens, 10) - expected).norm().item<double>();
    EXPECT_LT(error, last / 3) << bits;
    last = error;
  }
  EXPECT_LT(last, 0.01 * expected.norm().item<double>());
}

TEST(RoundedCache, HonoursASlidingWindow) {
  const Tokens tokens(30);
  const auto cache = make_rounded_kv_cache(kivi(2, 4, 8), 8);
  const auto whole = make_float_kv_cache(8);
  // The values that a token may see are all among the last 8, which are exact; its keys may be rounded.
  const at::Tensor found = decode(*cache, tokens, 0);
  const at::Tensor expected = decode(*whole, tokens, 0);
  EXPECT_TRUE(found.select(2, 7).equal(expected.select(2, 7)));
  EXPECT_FALSE(found.select(2, 20).equal(expected.select(2, 20)));
  EXPECT_TRUE(found.select(2, 15).equal(expected.select(2, 15)));  // sees keys 8 .. 15 alone, and they are exact
}

// KIVI beside 2 bits per token, where keys have a channel that is large in every token.
TEST(RoundedCache, OfKiviIsNearerThanPerTokenForKeysWithALargeChannel) {
  Tokens tokens(96);
  tokens.k.select(3, 5).add_(12);
  const RoundedSide per_token{.rounding = {.bits = 2, .group = 20}, .kept = kWindow};
  const at::Tensor expected = exact(tokens, 32);
  const auto error = [&](const RoundedCacheOptions& options) {
    const auto cache = make_rounded_kv_cache(options, 0);
    return (decode(*cache, tokens, 32) - expected).norm().item<double>();
  };
  EXPECT_LT(error(kivi(2, 16, kWindow)), 0.7 * error({per_token, per_token}));
}

// 41 tokens of 2 x 20 numbers: 32 keys rounded and 9 not, 25 values rounded and 16 not.
TEST(RoundedCache, TakesWhatItHolds) {
  const Tokens tokens(41);
  const auto cache = make_rounded_kv_cache(kivi(2, 8, kWindow), 0);
  EXPECT_EQ(cache->bytes(), 0);
  (void)decode(*cache, tokens, 20);
  constexpr std::int64_t kFloat = 2 * 20 * 4;
  constexpr std::int64_t kRow = 12;  // 2 x 20 codes of 2 bits in three words
  EXPECT_EQ(cache->bytes(), 32 * kRow + 4 * 2 * 20 * 4 + 9 * kFloat + 25 * (kRow + 2 * 3 * 4) + 16 * kFloat);
  const auto whole = make_float_kv_cache(0);
  (void)decode(*whole, tokens, 20);
  EXPECT_EQ(whole->bytes(), 2 * 41 * kFloat);
}

TEST(RoundedCache, KeepsBFloat16TokensInTheirType) {
  const Tokens wide(24);
  const auto narrow = [](const at::Tensor& x) { return x.to(at::kBFloat16); };
  const Tokens tokens(narrow(wide.q), narrow(wide.k), narrow(wide.v));
  const auto cache = make_rounded_kv_cache(kivi(8, 4, 8), 0);
  const at::Tensor found = decode(*cache, tokens, 8);
  EXPECT_EQ(found.scalar_type(), at::kBFloat16);
  const auto whole = make_float_kv_cache(0);
  const at::Tensor expected = decode(*whole, tokens, 8);
  EXPECT_LT((found - expected).to(at::kFloat).norm().item<double>(),
            0.02 * expected.to(at::kFloat).norm().item<double>());
}

}  // namespace
}  // namespace lowbit
