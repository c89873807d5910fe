#include "evaluation/retrieval.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>
#include <sstream>

#include "evaluation/byte_model.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using testing::make_byte_model;

class RetrievalTestCase : public ::testing::Test {
 protected:
  std::string text(const RetrievalTest& test, std::int64_t begin, std::int64_t end) const {
    const std::vector<TokenId>& ids = test.request.tokens;
    return tokenizer_.decode(
        std::span(ids).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)), false);
  }
  std::string records(const RetrievalTest& test) const { return text(test, 0, test.request.prefill); }
  std::string question(const RetrievalTest& test) const { return text(test, test.request.prefill, test.request.first); }
  std::string answer(const RetrievalTest& test) const {
    return text(test, test.request.first, static_cast<std::int64_t>(test.request.tokens.size()));
  }
  testing::ByteTokenizer tokenizer_;
};

// A byte is a token here.
TEST_F(RetrievalTestCase, AsksForARecordOfTheText) {
  const std::vector<RetrievalTest> tests = make_retrieval_tests({.length = 900, .tests = 7}, tokenizer_);
  ASSERT_EQ(tests.size(), 7U);
  for (std::size_t i = 0; i < tests.size(); ++i) {
    std::vector<std::string> lines;
    std::istringstream stream(records(tests[i]));
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    ASSERT_EQ(static_cast<std::int64_t>(lines.size()), tests[i].records);
    std::set<std::string> names;
    for (const std::string& line : lines) names.insert(line.substr(0, line.find(" is ")));
    EXPECT_EQ(names.size(), lines.size());
    const auto asked = static_cast<std::size_t>(std::lround(static_cast<double>(i) / 6 * (lines.size() - 1.0)));
    EXPECT_EQ(question(tests[i]) + answer(tests[i]) + ".", lines[asked]);
    EXPECT_THAT(answer(tests[i]), ::testing::MatchesRegex(" [1-9][0-9]{4}"));
    EXPECT_LE(tests[i].request.tokens.size(), 900U);
    EXPECT_GT(tests[i].request.tokens.size(), 900U - 45U);  // another record would not fit
  }
}

TEST_F(RetrievalTestCase, DrawsTextsBySeed) {
  const auto texts = [&](std::int64_t seed) {
    std::set<std::string> result;
    for (const RetrievalTest& test : make_retrieval_tests({.length = 300, .tests = 4, .seed = seed}, tokenizer_))
      result.insert(records(test));
    return result;
  };
  EXPECT_EQ(texts(0), texts(0));
  EXPECT_EQ(texts(0).size(), 4U);
  EXPECT_NE(texts(0), texts(1));
}

TEST_F(RetrievalTestCase, NeedsRoomForTwoRecords) {
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)make_retrieval_tests({.length = 64, .tests = 1}, tokenizer_); }),
            "retrieval: 'length' is 64, in which there is no room for 2 records and a question");
  const auto model = make_byte_model();
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { Retrieval({{.length = 65}}).check(model->architecture()); }),
            "retrieval: 'length' is 65, the model's context is 64");
}

// A model whose head is 0 finds every token equally likely, and takes the first for the likeliest.
TEST_F(RetrievalTestCase, MeasuresRecallAndTheAnswersLoss) {
  const auto model = Model::make(std::make_shared<testing::ByteModelSource>(0, 0, 200),
                                 std::make_unique<testing::ByteTokenizer>(), {});
  const DatasetCatalog catalog({}, {});
  const std::unique_ptr<Progress> progress = silent_progress();
  const Cancellation cancellation;
  const Scorer scorer(*model, {}, *progress, cancellation);
  const Retrieval retrieval({{.length = 200, .tests = 3}});
  const EvaluationResult result = retrieval.run({.scorer = scorer, .datasets = catalog, .reference_folder = {}});
  EXPECT_EQ(result.label, "retrieval 200");
  EXPECT_TRUE(retrieval.uses_cache());
  ASSERT_GE(result.metrics.size(), 3U);
  EXPECT_EQ(result.metrics[0].name, "recall");
  EXPECT_EQ(result.metrics[0].value, 0);
  EXPECT_TRUE(result.metrics[0].higher_is_better);
  EXPECT_EQ(result.metrics[1].name, "answer_loss");
  EXPECT_NEAR(result.metrics[1].value, std::log(257), 1e-6);
  EXPECT_EQ(result.metrics[2].name, "cache_bits");
  EXPECT_EQ(result.metrics[2].value, 32);
  ASSERT_EQ(result.items.size(), 3U);
  EXPECT_EQ(result.items[1].more.at("depth"), 0.5);
  EXPECT_EQ(result.items[1].more.at("answer_tokens"), 6);
}

}  // namespace
}  // namespace lowbit
