#include "evaluation/generation.h"

#include <gmock/gmock.h>

#include "evaluation/byte_model.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;

class WrittenAnswersTest : public ::testing::Test {
 protected:
  WrittenAnswersTest() : catalog_({folder_.path()}, {folder_.path()}), model_(testing::make_byte_model()) {
    define("  metrics: [exact_match, rougeL, chrf]\n");
    write("a.jsonl", "{\"q\":\"2+2\",\"a\":\"4\"}\n{\"q\":\"1+1\",\"a\":\"2\"}\n{\"q\":\"9+9\",\"a\":\"18\"}\n");
  }
  void write(const std::string& file, const std::string& text) const { write_file_atomically(folder_ / file, text); }
  void define(const std::string& more) const {
    write("sums.yaml",
          "summary: s\nlicence: l\nreader: jsonl\nsplits: {test: {files: [a.jsonl]}}\ntask:\n  split: test\n"
          "  context: \"{q}=\"\n  references: [\"{a}\", \"is {a}\"]\n  generation: {max_new_tokens: 10}\n" +
              more);
  }
  EvaluationResult run(const WrittenAnswersOptions& options) const {
    const auto progress = silent_progress();
    const Cancellation cancellation;
    const Scorer scorer(*model_, {}, *progress, cancellation);
    return WrittenAnswers(options).run({.scorer = scorer,
                                        .datasets = catalog_,
                                        .seed = 0,
                                        .reference_folder = {},
                                        .is_baseline = false,
                                        .baseline = nullptr});
  }
  static WrittenAnswersOptions sums() {
    WrittenAnswersOptions options;
    options.dataset = "sums";
    return options;
  }
  testing::TemporaryFolder folder_;
  DatasetCatalog catalog_;
  std::shared_ptr<Model> model_;
};

TEST_F(WrittenAnswersTest, RecordsWhatWasWritten) {
  const EvaluationResult before = run(sums());
  ASSERT_EQ(before.items.size(), 3U);
  EXPECT_EQ(before.metrics.front().value, 0) << "random weights cannot add";
  // The rows' answers become what the model writes for the first two: these are then right, and no others.
  const auto row = [](const char* q, const std::string& a) { return Json({{"q", q}, {"a", a}}).dump() + "\n"; };
  write("a.jsonl", row("2+2", before.items[0].output) + row("1+1", " " + before.items[1].output) + row("9+9", "18"));
  const EvaluationResult result = run(sums());
  EXPECT_EQ(result.items[0].id, "test 0");
  EXPECT_EQ(result.items[0].value, 1);
  EXPECT_EQ(result.items[1].value, 1) << "white space around an answer does not count";
  EXPECT_EQ(result.items[2].value, 0);
  EXPECT_EQ(result.items[2].output, before.items[2].output);
  EXPECT_DOUBLE_EQ(result.metrics.front().value, 2.0 / 3);
  EXPECT_EQ(result.metrics[2].name, "chrf");
  EXPECT_TRUE(result.problems.empty());
}

TEST_F(WrittenAnswersTest, ReportsEachRule) {
  write("sums.yaml",
        "summary: s\nlicence: l\nreader: jsonl\nsplits: {test: {files: [a.jsonl]}}\ntask:\n  split: test\n"
        "  context: \"{q}=\"\n  references: [\"{a}\"]\n  generation:\n    max_new_tokens: 10\n"
        "    answers: [{name: first, pattern: '.'}, {name: none, pattern: 'never', missing: nothing}]\n");
  const EvaluationResult result = run(sums());
  ASSERT_EQ(result.metrics.size(), 2U);
  EXPECT_EQ(result.metrics[0].name, "exact_match first");
  EXPECT_EQ(result.metrics[1].name, "exact_match none");
  EXPECT_EQ(result.items[0].more.at("exact_match none"), 0);
}

TEST_F(WrittenAnswersTest, NamesPromptsThatDoNotFit) {
  write("a.jsonl",
        "{\"q\":\"2+2\",\"a\":\"4\"}\n{\"q\":\"" + std::string(70, '1') + "\",\"a\":\"2\"}\n{\"a\":\"18\"}\n");
  const EvaluationResult result = run(sums());
  EXPECT_EQ(result.items.size(), 2U);
  ASSERT_EQ(result.problems.size(), 2U);
  EXPECT_THAT(result.problems[0], HasSubstr("a.jsonl:3: the row has no column 'q'"));
  EXPECT_THAT(result.problems[1],
              HasSubstr("a.jsonl:2: the prompt of 71 tokens is longer than the 54 that an answer of "
                        "10 leaves of the model's context, and was read without its beginning"));
}

TEST_F(WrittenAnswersTest, KeysWhatDecidesTheResult) {
  const auto key = [&](const WrittenAnswersOptions& options) {
    return WrittenAnswers(options).key(model_->tokenizer(), catalog_);
  };
  WrittenAnswersOptions other = sums();
  EXPECT_EQ(key(sums()), key(other));
  other.max_new_tokens = 5;
  EXPECT_NE(key(sums()), key(other));
  other = sums();
  other.temperature = 1;
  EXPECT_NE(key(sums()), key(other));
  const Hash before = key(sums());
  define("  metrics: [exact_match]\n");
  EXPECT_NE(key(sums()), before);
  // Three prompts of 4, 4 and 4 tokens, and 10 for each answer.
  EXPECT_EQ(WrittenAnswers(sums()).tokens(model_->tokenizer(), catalog_), 42);
}

TEST_F(WrittenAnswersTest, RefusesWhatCannotBe) {
  WrittenAnswersOptions options = sums();
  options.max_new_tokens = 64;
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)run(options); }),
            "generation: 'max_new_tokens' is 64, which leaves no room in the model's context of 64");
  write("sums.yaml",
        "summary: s\nlicence: l\nreader: jsonl\nsplits: {test: {files: [a.jsonl]}}\ntask: {split: test, context: "
        "'{q}=', choices: ['{a}', x], gold: '0'}\n");
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)run(sums()); }),
            "the answers of dataset 'sums' are chosen, not written; evaluate it by 'multiple_choice'");
  ConfigProblems problems;
  Registry<Evaluation> registry = builtin_evaluations();
  (void)registry.create("generation", {}, ConfigNode::parse("{dataset: sums, metrics: [rouge3]}", "e"), problems);
  EXPECT_THAT(error_text(ErrorCode::kConfig, [&] { problems.throw_if_any(); }),
              HasSubstr("unknown metric 'rouge3'; did you mean 'rouge1'?"));
}

}  // namespace
}  // namespace lowbit
