#include "evaluation/multiple_choice.h"

#include <gmock/gmock.h>

#include "evaluation/branches.h"
#include "evaluation/byte_model.h"
#include "lowbit/base/files.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using testing::error_text;
using ::testing::HasSubstr;

class MultipleChoiceTest : public ::testing::Test {
 protected:
  MultipleChoiceTest() : catalog_({folder_.path()}, {folder_.path()}), model_(testing::make_byte_model()) {
    write("sums.yaml",
          "summary: s\nlicence: l\nreader: jsonl\nsplits: {test: {files: [a.jsonl]}}\ntask:\n  split: test\n"
          "  context: \"{q}=\"\n  choices: [{each: a}]\n  gold: \"{gold}\"\n  delimiter: \"\"\n"
          "  metrics: [acc, acc_norm, acc_mutual_info]\n");
    write("a.jsonl", R"({"q":"2+2","a":["3","4"],"gold":1})"
                     "\n"
                     R"({"q":"1+1","a":["2","15"],"gold":0})"
                     "\n"
                     R"({"q":"9+9","a":["18","1"],"gold":0})"
                     "\n");
  }
  void write(const std::string& file, const std::string& text) const { write_file_atomically(folder_ / file, text); }
  EvaluationResult run(const MultipleChoiceOptions& options) const {
    const auto progress = silent_progress();
    const Cancellation cancellation;
    const Scorer scorer(*model_, {}, *progress, cancellation);
    return MultipleChoice(options).run({.scorer = scorer,
                                        .datasets = catalog_,
                                        .seed = 0,
                                        .reference_folder = {},
                                        .is_baseline = false,
                                        .baseline = nullptr});
  }
  static MultipleChoiceOptions sums() {
    MultipleChoiceOptions options;
    options.dataset = "sums";
    return options;
  }

  testing::TemporaryFolder folder_;
  DatasetCatalog catalog_;
  std::shared_ptr<Model> model_;
};

TEST_F(MultipleChoiceTest, RecordsEachQuestion) {
  const EvaluationResult result = run(sums());
  ASSERT_EQ(result.items.size(), 3U);
  EXPECT_EQ(result.items[0].id, "test 0");
  EXPECT_EQ(result.metrics.front().name, "acc");
  double correct = 0;
  for (const EvaluationResult::Item& item : result.items) {
    const std::map<std::string, double>& more = item.more;
    const double first = more.at("log_likelihood 0");
    const double second = more.at("log_likelihood 1");
    EXPECT_EQ(more.at("choice"), first >= second ? 0 : 1);
    EXPECT_EQ(item.value, more.at("choice") == more.at("gold") ? 1 : 0);
    EXPECT_DOUBLE_EQ(more.at("margin"), more.at("gold") == 0 ? first - second : second - first);
    correct += item.value;
  }
  EXPECT_DOUBLE_EQ(result.metrics.front().value, correct / 3);
  EXPECT_TRUE(result.problems.empty());
}

TEST_F(MultipleChoiceTest, NamesWhatCouldNotBeScored) {
  write("a.jsonl", R"({"q":"2+2","a":["3","4"],"gold":1})"
                   "\n{}\n"
                   R"({"q":")" +
                       std::string(80, '1') + R"(","a":["3","4"],"gold":1})");
  const EvaluationResult result = run(sums());
  EXPECT_EQ(result.items.size(), 2U);
  ASSERT_EQ(result.problems.size(), 2U);
  EXPECT_EQ(result.problems[0], "a.jsonl:2: the row has no column 'q'");
  EXPECT_THAT(result.problems[1], HasSubstr("a.jsonl:3: the prompt of 81 tokens is longer than the model's context of "
                                            "64 and was scored without its beginning"));
}

TEST_F(MultipleChoiceTest, KeysWhatDecidesTheResult) {
  const auto key = [&](const MultipleChoiceOptions& options) {
    return MultipleChoice(options).key(model_->tokenizer(), catalog_);
  };
  MultipleChoiceOptions other = sums();
  other.metrics = {"acc_norm"};
  EXPECT_EQ(key(sums()), key(sums()));
  EXPECT_NE(key(sums()), key(other));
  other = sums();
  other.limit = 2;
  EXPECT_NE(key(sums()), key(other));
  // Behind their contexts 4 + 5 + 5 tokens are read, behind BOS alone 1 + 2 + 2, of which BOS is shared where sequences
  // are laid out freely.
  const std::int64_t shared = packs_freely(ComputeOptions()) ? 2 : 0;
  EXPECT_EQ(MultipleChoice(sums()).tokens(model_->tokenizer(), catalog_), 19 - shared);
}

TEST_F(MultipleChoiceTest, RefusesUnknownNames) {
  MultipleChoiceOptions options = sums();
  options.split = "tset";
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)run(options); }),
            "dataset 'sums' has no split 'tset'; it has 'test'");
  ConfigProblems problems;
  Registry<Evaluation> registry = builtin_evaluations();
  (void)registry.create("multiple_choice", {}, ConfigNode::parse("{dataset: sums, metrics: [acx]}", "e"), problems);
  EXPECT_THAT(error_text(ErrorCode::kConfig, [&] { problems.throw_if_any(); }),
              HasSubstr("unknown metric 'acx'; did you mean 'acc'?"));
}

TEST_F(MultipleChoiceTest, RefusesToPlaceTheShotsOfNoConversation) {
  for (const char* name : {"multiple_choice", "generation"}) {
    ConfigProblems problems;
    (void)builtin_evaluations().create(name, {}, ConfigNode::parse("{dataset: sums, shots_as_turns: false}", "e"),
                                       problems);
    EXPECT_THAT(
        error_text(ErrorCode::kConfig, [&] { problems.throw_if_any(); }),
        HasSubstr("'shots_as_turns: false' without a conversation: turns are made with 'chat: true'; add it, or "
                  "leave 'shots_as_turns' out"));
  }
}

TEST_F(MultipleChoiceTest, NamesItselfInTables) {
  MultipleChoiceOptions options = sums();
  EXPECT_EQ(MultipleChoice(options).label(), "sums");
  options.shots = 5;
  options.groups = {"STEM"};
  EXPECT_EQ(MultipleChoice(options).label(), "sums STEM 5-shot");
  options.chat = true;
  EXPECT_EQ(MultipleChoice(options).label(), "sums STEM 5-shot chat");
  options.shots_as_turns = false;
  EXPECT_EQ(MultipleChoice(options).label(), "sums STEM 5-shot chat one-turn");
}

}  // namespace
}  // namespace lowbit
