#include <gmock/gmock.h>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "metrics/rouge.h"
#include "metrics/squad.h"
#include "metrics/translation.h"
#include "support/source_folder.h"

namespace lowbit {
namespace {

// Sums and products of a few dozen float64 numbers in another order than the reference's.
constexpr double kTolerance = 1e-11;

class TextMetrics : public ::testing::Test {
 protected:
  Json golden_ = parse_json(read_file(testing::source_folder() / "tests/golden/metrics/text_metrics.json"), "golden");
  template <typename Check>
  void for_each_pair(Check check) const {
    ASSERT_GT(golden_.at("items").size(), 400U);
    for (const Json& item : golden_.at("items")) {
      const auto references = item.at("references").get<std::vector<std::string>>();
      const auto text = item.at("text").get<std::string>();
      SCOPED_TRACE(text + " | " + references.front());
      check(text, references, item);
    }
  }
};

TEST_F(TextMetrics, EqualSquadsOwn) {
  for_each_pair([](const std::string& text, const std::vector<std::string>& references, const Json& item) {
    EXPECT_EQ(squad_normal(text), item.at("squad_normal").get<std::string>());
    EXPECT_EQ(squad_exact_match(text, references.front()), item.at("squad_em").get<double>());
    EXPECT_NEAR(squad_f1(text, references.front()), item.at("squad_f1").get<double>(), kTolerance);
  });
}

TEST_F(TextMetrics, EqualRougeScore) {
  for_each_pair([](const std::string& text, const std::vector<std::string>& references, const Json& item) {
    EXPECT_NEAR(rouge_n(text, references.front(), 1), item.at("rouge")[0].get<double>(), kTolerance);
    EXPECT_NEAR(rouge_n(text, references.front(), 2), item.at("rouge")[1].get<double>(), kTolerance);
    EXPECT_NEAR(rouge_l(text, references.front()), item.at("rouge")[2].get<double>(), kTolerance);
  });
}

TEST_F(TextMetrics, EqualSacrebleu) {
  for_each_pair([](const std::string& text, const std::vector<std::string>& references, const Json& item) {
    EXPECT_NEAR(bleu(bleu_counts(text, references)), item.at("bleu").get<double>(), 100 * kTolerance);
    EXPECT_NEAR(bleu(bleu_counts(text, references, BleuWords::kChinese)), item.at("bleu_zh").get<double>(),
                100 * kTolerance);
    EXPECT_NEAR(chrf(chrf_counts(text, references)), item.at("chrf").get<double>(), 100 * kTolerance);
  });
  for (const auto& [text, tokens] : golden_.at("tokens").items()) {
    EXPECT_EQ(bleu_words(text), tokens.get<std::vector<std::string>>()) << text;
  }
}

TEST_F(TextMetrics, EqualSacrebleuOverManyTexts) {
  BleuCounts words;
  ChrfCounts characters;
  for_each_pair([&](const std::string& text, const std::vector<std::string>& references, const Json&) {
    if (references.size() > 1) return;
    words += bleu_counts(text, references);
    characters += chrf_counts(text, references);
  });
  EXPECT_NEAR(bleu(words), golden_.at("corpus").at("bleu").get<double>(), 100 * kTolerance);
  EXPECT_NEAR(chrf(characters), golden_.at("corpus").at("chrf").get<double>(), 100 * kTolerance);
}

TEST(TextCounts, SubtractToWhatTheyWere) {
  const std::vector<std::string> references = {"one two three four five"};
  BleuCounts words = bleu_counts("one two three", references);
  ChrfCounts characters = chrf_counts("one two three", references);
  const double bleu_before = bleu(words);
  const double chrf_before = chrf(characters);
  words += bleu_counts("five four", references);
  characters += chrf_counts("five four", references);
  words -= bleu_counts("five four", references);
  characters -= chrf_counts("five four", references);
  EXPECT_EQ(bleu(words), bleu_before);
  EXPECT_EQ(chrf(characters), chrf_before);
}

// The example of Lin's metric worked by hand: 6 of 7 words are common, all of the reference's 6; 4 of 6 pairs, of 5.
TEST(Rouge, CountsWhatTextsShare) {
  const char* text = "the cat was found under the bed";
  const char* reference = "the cat was under the bed";
  EXPECT_DOUBLE_EQ(rouge_n(text, reference, 1), 12.0 / 13);
  EXPECT_DOUBLE_EQ(rouge_n(text, reference, 2), 8.0 / 11);
  EXPECT_DOUBLE_EQ(rouge_l(text, reference), 12.0 / 13);
}

}  // namespace
}  // namespace lowbit
