#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

#include "lowbit/base/error.h"
#include "lowbit/model/model.h"
#include "model/ranking.h"
#include "model/sampling.h"
#include "model/text_stream.h"
#include "model_cases.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using namespace testing;  // NOLINT: the cases' helpers

// Every token is one byte of a table.
class ByteTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view, const EncodeOptions&) const override { return {}; }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string bytes;
    for (const TokenId id : ids) bytes.push_back(kBytes[static_cast<std::size_t>(id)]);
    return replace_invalid(bytes);
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(kBytes.size()); }
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return std::nullopt; }
  bool adds_bos() const override { return false; }
  bool is_special(TokenId) const override { return false; }
  std::string piece(TokenId) const override { return {}; }
  std::optional<TokenId> find(std::string_view) const override { return std::nullopt; }
  std::string kind() const override { return "bytes"; }
  Hash fingerprint() const override { return {}; }

  // Enough of Unicode for the euro sign, E2 82 AC.
  static std::string replace_invalid(const std::string& bytes) {
    std::string text;
    for (std::size_t i = 0; i < bytes.size();) {
      if (bytes[i] != '\xE2') {
        text.push_back(bytes[i++]);
      } else if (bytes.substr(i, 3) == "\xE2\x82\xAC") {
        text += bytes.substr(i, 3);
        i += 3;
      } else {
        text += "\xEF\xBF\xBD";
        i = bytes.size();
      }
    }
    return text;
  }
  static constexpr std::string_view kBytes = "abcdefghijklmnopqrst\xE2\x82\xAC ";
};

struct Heard {
  std::vector<std::string> parts;
  std::function<void(std::string_view)> listener() {
    return [this](std::string_view text) { parts.emplace_back(text); };
  }
};

TEST(TextStream, HandsOutWholeCharactersOnly) {
  const ByteTokenizer tokenizer;
  Heard heard;
  TextStream stream(tokenizer, std::vector<TokenId>{0}, {}, heard.listener());
  for (const TokenId id : {1, 20, 21, 22, 2}) EXPECT_FALSE(stream.add(id));
  EXPECT_EQ(heard.parts, (std::vector<std::string>{"b", "\xE2\x82\xAC", "c"}));
  EXPECT_EQ(stream.text(),
            "b\xE2\x82\xAC"
            "c");
}

TEST(TextStream, HoldsBackWhatMayBeginAStopText) {
  const ByteTokenizer tokenizer;
  Heard heard;
  TextStream stream(tokenizer, std::vector<TokenId>{0}, {"bcd"}, heard.listener());
  for (const TokenId id : {1, 2, 1, 2}) EXPECT_FALSE(stream.add(id));  // "bcbc": the second "bc" may go on with "d"
  EXPECT_EQ(heard.parts, (std::vector<std::string>{"bc"}));
  EXPECT_TRUE(stream.add(3));
  EXPECT_EQ(stream.text(), "bc");
}

TEST(TextStream, HandsOutTheRestAtTheEnd) {
  const ByteTokenizer tokenizer;
  Heard heard;
  TextStream stream(tokenizer, std::vector<TokenId>{0}, {"bcd"}, heard.listener());
  EXPECT_FALSE(stream.add(1));
  EXPECT_TRUE(heard.parts.empty());
  stream.finish();
  EXPECT_EQ(heard.parts, std::vector<std::string>{"b"});
}

TokenId sampled(std::span<const float> logits, const GenerationOptions& options, const Random& random,
                std::uint64_t step) {
  Ranking ranking;
  ranking.restart(static_cast<std::size_t>(ranked_count(options, static_cast<std::int64_t>(logits.size()))));
  ranking.take(0, logits);
  return sample_token(ranking.finish(), options, random, step);
}

TEST(SampleToken, TakesTheFirstLargestLogitAtTemperatureZero) {
  const std::vector<float> logits{1, 3, 3, 2};
  EXPECT_EQ(sampled(logits, {}, Random(0, "x"), 0), 1);
}

// 20,000 draws: the standard error of a share is below 0.0036; five of them.
TEST(SampleToken, DrawsBySoftmaxOfTheKeptTokens) {
  const std::vector<float> logits{0.0F, static_cast<float>(std::log(3.0)), static_cast<float>(std::log(6.0)), -20.0F};
  const auto shares = [&](const GenerationOptions& options) {
    std::vector<double> counts(4);
    for (std::uint64_t i = 0; i < 20000; ++i) {
      counts[static_cast<std::size_t>(sampled(logits, options, Random(5, "x"), i))] += 1.0 / 20000;
    }
    return counts;
  };
  const auto all = shares({.temperature = 1.0});
  EXPECT_NEAR(all[0], 0.1, 0.018);
  EXPECT_NEAR(all[1], 0.3, 0.018);
  EXPECT_NEAR(all[2], 0.6, 0.018);
  const auto two = shares({.temperature = 1.0, .top_k = 2});
  EXPECT_EQ(two[0], 0.0);
  EXPECT_NEAR(two[1], 1.0 / 3, 0.018);
  EXPECT_NEAR(shares({.temperature = 1.0, .top_p = 0.5})[2], 1.0, 1e-9);
  const auto hot = shares({.temperature = 0.5});  // weights 1, 9, 36
  EXPECT_NEAR(hot[2], 36.0 / 46, 0.018);
}

// Parts in another order, each on a thread of its own, with many equal logits.
TEST(Ranking, DoesNotDependOnPartsAndTheirOrder) {
  const Random random(8, "logits");
  std::vector<float> logits(1000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(random.below(i, 40));
  std::vector<TokenId> expected(logits.size());
  std::iota(expected.begin(), expected.end(), 0);
  std::ranges::stable_sort(expected, [&](TokenId a, TokenId b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  for (const std::size_t part : {64, 7, 1000}) {
    for (const std::size_t count : {1, 5, 100, 1000}) {
      Ranking ranking;
      ranking.restart(count);
      std::vector<std::thread> threads;
      for (std::size_t end = logits.size(); end > 0; end -= std::min(part, end)) {
        const std::size_t first = end - std::min(part, end);
        threads.emplace_back([&ranking, &logits, first, end] {
          ranking.take(static_cast<std::int64_t>(first), std::span(logits).subspan(first, end - first));
        });
      }
      for (std::thread& thread : threads) thread.join();
      const std::span<const RankedToken> found = ranking.finish();
      ASSERT_EQ(found.size(), count);
      for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(found[i].id, expected[i]);
        EXPECT_EQ(found[i].logit, logits[static_cast<std::size_t>(expected[i])]);
      }
    }
  }
}

TEST(Ranking, NamesTheFirstLogitThatIsNotFinite) {
  Ranking ranking;
  ranking.restart(1);
  ranking.take(2, std::vector<float>{1, std::numeric_limits<float>::infinity()});
  ranking.take(0, std::vector<float>{0, std::numeric_limits<float>::quiet_NaN()});
  EXPECT_EQ(lowbit::testing::error_text(ErrorCode::kData, [&] { (void)ranking.finish(); }),
            "a logit is nan; the model's weights or activations overflow");
}

std::shared_ptr<Model> byte_model() {
  return Model::make(open_weights(golden_model("gqa-tied-sharded")), std::make_unique<ByteTokenizer>(), {});
}

TEST(Generate, EqualsRepeatedForwardPasses) {
  const auto model = byte_model();
  const std::vector<TokenId> prompt{1, 5, 9};
  const Generation result = generate(*model, prompt, {.max_new_tokens = 12, .ignore_eos = true}, Cancellation());
  std::vector<std::int64_t> ids(prompt.begin(), prompt.end());
  for (int i = 0; i < 12; ++i) {
    const at::Tensor logits = logits_of(*model, ids_tensor({ids}));
    ids.push_back(logits.select(0, 0).select(0, logits.size(1) - 1).argmax().item<std::int64_t>());
  }
  EXPECT_EQ(std::vector<std::int64_t>(result.ids.begin(), result.ids.end()),
            std::vector<std::int64_t>(ids.begin() + 3, ids.end()));
  EXPECT_EQ(result.stopped_by, "length");
}

TEST(Generate, DrawsTheSameForTheSameSeed) {
  const auto model = byte_model();
  const std::vector<TokenId> prompt{1, 5, 9};
  GenerationOptions options{.max_new_tokens = 20, .temperature = 3.0, .seed = 1, .ignore_eos = true};
  const auto first = generate(*model, prompt, options, Cancellation()).ids;
  EXPECT_EQ(generate(*model, prompt, options, Cancellation()).ids, first);
  options.seed = 2;
  EXPECT_NE(generate(*model, prompt, options, Cancellation()).ids, first);
}

TEST(Generate, EndsAtTheContext) {
  const auto model = byte_model();  // context 64
  const std::vector<TokenId> prompt(60, 1);
  EXPECT_EQ(generate(*model, prompt, {.max_new_tokens = 50, .ignore_eos = true}, Cancellation()).ids.size(), 4U);
}

TEST(Generate, SaysWhatIsWrong) {
  const auto model = byte_model();
  const auto message = [&](const std::vector<TokenId>& prompt, const GenerationOptions& options) -> std::string {
    try {
      (void)generate(*model, prompt, options, Cancellation());
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({}, {}), "the prompt has no tokens");
  EXPECT_EQ(message(std::vector<TokenId>(64, 1), {}),
            "the prompt has 64 tokens, which leaves no room in the model's context of 64");
  EXPECT_EQ(message({1}, {.temperature = -1}), "temperature is -1, expected 0 or more");
  EXPECT_EQ(message({1}, {.top_k = -1}), "top_k is -1, expected 0 (all) or more");
  EXPECT_EQ(message({1}, {.top_p = 0}), "top_p is 0, expected more than 0, at most 1");
  EXPECT_EQ(message({1}, {.max_new_tokens = -1}), "max_new_tokens is -1, expected 0 or more");
  EXPECT_EQ(message({1}, {.stop = {""}}), "stop: an empty text would end every generation at once");
  EXPECT_EQ(message({99}, {}), "token id 99 is outside the model's vocabulary of 24");
}

}  // namespace
}  // namespace lowbit
