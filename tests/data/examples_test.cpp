#include "lowbit/data/examples.h"

#include <gmock/gmock.h>

#include "lowbit/base/files.h"
#include "lowbit/text/chat_template.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using testing::error_text;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kHead = "summary: s\nlicence: l\nreader: jsonl\n";

class ExamplesTest : public ::testing::Test {
 protected:
  ExamplesTest() : catalog_({folder_ / "datasets"}, {folder_ / "data"}) {
    for (const char* name : {"datasets", "data", "data/by"}) make_folders(folder_ / name);
    write("data/test.jsonl", R"({"q":"2+2","a":["3","4"],"gold":1})"
                             "\n"
                             R"({"q":"1+1","a":["2","5"],"gold":0})"
                             "\n");
    write("data/train.jsonl", R"({"q":"0+0","a":["0","1"],"gold":0})"
                              "\n"
                              R"({"q":"0+1","a":["0","1"],"gold":1})"
                              "\n");
  }
  void write(const std::string& file, const std::string& text) const { write_file_atomically(folder_ / file, text); }
  DatasetDefinition define(const std::string& task,
                           const std::string& splits = "{train: {files: [train.jsonl]}, test: {files: [test.jsonl]}}",
                           const std::string& head = kHead) const {
    write("datasets/sums.yaml", head + "splits: " + splits + "\ntask:\n" + task);
    return catalog_.find("sums");
  }
  DatasetDefinition sums(const std::string& more = "") const {
    return define(
        "  split: test\n  context: \"Q: {q}\\nA:\"\n  choices: [{each: a}]\n  gold: \"{gold}\"\n"
        "  shots: {split: train}\n" +
        more);
  }
  ExampleSet examples(const DatasetDefinition& definition, const ExampleOptions& options = {}) const {
    return catalog_.examples(definition, options);
  }
  std::string config_error(const std::string& task) const {
    return error_text(ErrorCode::kConfig, [&] { (void)define(task); });
  }
  static std::vector<std::string> problems(const ExampleSet& set) {
    std::vector<std::string> texts;
    for (const ExampleProblem& problem : set.problems) texts.push_back(problem.where + ": " + problem.message);
    return texts;
  }

  testing::TemporaryFolder folder_;
  DatasetCatalog catalog_;
};

TEST_F(ExamplesTest, AreRowsWordedByTheTask) {
  const ExampleSet set = examples(sums());
  ASSERT_EQ(set.examples.size(), 2U);
  const Example& first = set.examples.front();
  EXPECT_EQ(first.id, "test 0");
  EXPECT_EQ(first.where, "test.jsonl:1");
  EXPECT_THAT(first.contexts, ElementsAre("Q: 2+2\nA:"));
  EXPECT_THAT(first.continuations, ElementsAre(" 3", " 4"));
  EXPECT_THAT(first.choices, ElementsAre("3", "4"));
  EXPECT_THAT(first.gold, ElementsAre(1));
  EXPECT_EQ(set.rows, 2);
}

TEST_F(ExamplesTest, AreAUsersTurnInAConversation) {
  const ChatTemplate chat("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>", {}, "a model");
  const DatasetDefinition definition = define(
      "  split: test\n  description: \"Sums.\\n\\n\"\n  context: \"Q: {q}\\nA:\"\n  choices: [{each: a}]\n"
      "  gold: \"{gold}\"\n  shots: {split: train, count: 1, order: first}\n");
  const Example example = examples(definition, {.chat = &chat}).examples[0];
  EXPECT_THAT(example.contexts,
              ElementsAre("<system>Sums.\n\n<user>Q: 0+0\nA:<assistant>0<user>Q: 2+2\nA:<assistant>"));
  EXPECT_THAT(example.continuations, ElementsAre("3", "4"));
  EXPECT_EQ(example.preamble, 0U);
  EXPECT_NE(examples(definition, {.chat = &chat}).hash, examples(definition).hash);

  const ExampleSet one_turn = examples(definition, {.chat = &chat, .shots_as_turns = false});
  EXPECT_THAT(one_turn.examples[0].contexts,
              ElementsAre("<system>Sums.\n\n<user>Q: 0+0\nA: 0\n\nQ: 2+2\nA:<assistant>"));
}

TEST_F(ExamplesTest, ShowInTheTurnsOfShotsTheContextThatIsFilledRightly) {
  const ChatTemplate chat("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>", {}, "a model");
  for (const char* split : {"test", "train"}) {
    write(fmt::format("data/{}.jsonl", split), R"({"options":["Ann","Bob"],"rest":"won.","gold":1})");
  }
  const DatasetDefinition definition = define(
      "  split: test\n  contexts: [{each: options, text: \"It was {item} who\"}]\n  continuation: \"{rest}\"\n"
      "  gold: \"{gold}\"\n  shots: {split: train}\n");
  EXPECT_THAT(examples(definition, {.shots = 1, .chat = &chat}).examples[0].contexts,
              ElementsAre("<user>It was Bob who<assistant>won.<user>It was Ann who<assistant>",
                          "<user>It was Bob who<assistant>won.<user>It was Bob who<assistant>"));
}

TEST_F(ExamplesTest, TellWhyATemplateRefusesThem) {
  const ChatTemplate chat("{{ raise_exception('no system here') }}", {}, "a model");
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)examples(sums(), {.chat = &chat}); }),
              HasSubstr("no usable question; the first of 2 problems: test.jsonl:1: a model: chat template, line 1, "
                        "column 19: the template refuses these messages: no system here"));
}

TEST_F(ExamplesTest, PutDescriptionAndShotsBeforeTheQuestion) {
  const DatasetDefinition definition = define(
      "  split: test\n  description: \"Sums.\\n\\n\"\n  context: \"Q: {q}\\nA:\"\n  choices: [{each: a}]\n"
      "  gold: \"{gold}\"\n  shots: {split: train, count: 2, order: first}\n");
  EXPECT_THAT(examples(definition).examples[0].contexts,
              ElementsAre("Sums.\n\nQ: 0+0\nA: 0\n\nQ: 0+1\nA: 1\n\nQ: 2+2\nA:"));
  EXPECT_THAT(examples(definition, {.shots = 0}).examples[0].contexts, ElementsAre("Sums.\n\nQ: 2+2\nA:"));
}

TEST_F(ExamplesTest, DrawShotsAnewForEachQuestionAsPythonDoes) {
  std::string train;
  for (int i = 0; i < 100; ++i) {
    train += R"({"q":")" + std::to_string(i) + R"(","a":["x","y"],"gold":0})" + "\n";
  }
  write("data/train.jsonl", train);
  // random.Random(1234).sample(range(100), 5), twice
  const ExampleSet set = examples(sums(), {.shots = 5});
  const auto text = [](std::initializer_list<int> shots, const char* question) {
    std::string all;
    for (const int shot : shots) all += "Q: " + std::to_string(shot) + "\nA: x\n\n";
    return all + "Q: " + question + "\nA:";
  };
  EXPECT_EQ(set.examples[0].contexts[0], text({99, 56, 14, 0, 11}, "2+2"));
  EXPECT_EQ(set.examples[1].contexts[0], text({74, 4, 85, 88, 10}, "1+1"));
}

TEST_F(ExamplesTest, MayFillTheContextInstead) {
  write("data/test.jsonl", R"({"options":["Ann","Bob"],"rest":"won.","gold":1})");
  const ExampleSet set = examples(
      define("  split: test\n  contexts: [{each: options, text: \"It was {item} who\"}]\n  continuation: \"{rest}\"\n"
             "  gold: \"{gold}\"\n"));
  EXPECT_THAT(set.examples[0].contexts, ElementsAre("It was Ann who", "It was Bob who"));
  EXPECT_THAT(set.examples[0].continuations, ElementsAre(" won."));
  EXPECT_EQ(set.examples[0].choices.size(), 2U);
}

TEST_F(ExamplesTest, DeriveColumnsAndLeaveRowsOut) {
  const ExampleSet set = examples(
      define("  split: test\n  where: \"q != '1+1'\"\n  columns: {twice: \"{q}{q}\", last: \"{twice | after('+')}\"}\n"
             "  context: \"{last}\"\n  choices: [{each: a}]\n  gold: \"{gold}\"\n"));
  ASSERT_EQ(set.examples.size(), 1U);
  EXPECT_EQ(set.examples[0].contexts[0], "22+2");
  EXPECT_THAT(problems(set), IsEmpty());
}

TEST_F(ExamplesTest, AreGroupedByWhatTheStarStandsFor) {
  write("data/by/b_test.jsonl", R"({"q":"b0","a":["x","y"],"gold":0})"
                                "\n"
                                R"({"q":"b1","a":["x","y"],"gold":0})"
                                "\n");
  write("data/by/a_test.jsonl", R"({"q":"a0","a":["x","y"],"gold":0})");
  const DatasetDefinition definition = define(
      "  split: test\n  context: \"{group_name}: {q}\"\n  choices: [{each: a}]\n  gold: \"{gold}\"\n"
      "  group_names: {a: Algebra}\n  domains: {letters: [b]}\n",
      "{test: {files: [\"by/*_test.jsonl\"]}}");
  const ExampleSet all = examples(definition);
  ASSERT_EQ(all.examples.size(), 3U);
  EXPECT_EQ(all.examples[0].contexts[0], "Algebra: a0");
  EXPECT_EQ(all.examples[2].id, "b 1");
  EXPECT_EQ(examples(definition, {.limit = 1}).examples.size(), 2U) << "of each group";
  EXPECT_EQ(examples(definition, {.groups = {"letters"}}).examples.size(), 2U);
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)examples(definition, {.groups = {"leters"}}); }),
            "dataset 'sums' has no group 'leters'; did you mean 'letters'?");
}

TEST_F(ExamplesTest, MayMarkTheRightEntriesAndLeaveEmptyOnesOut) {
  write("data/test.jsonl", R"({"good":"a; b;","bad":"c"})");
  const ExampleSet set = examples(
      define("  split: test\n  context: c\n  choices:\n    - {each: \"good | split(';')\", text: \"{item | trim}\", "
             "gold: true, skip_empty: true}\n    - \"{bad}\"\n"));
  EXPECT_THAT(set.examples[0].choices, ElementsAre("a", "b", "c"));
  EXPECT_THAT(set.examples[0].gold, ElementsAre(0, 1));
}

struct GoldCase {
  const char* form;
  const char* gold;
  const char* result;  // the index, or the end of the message
};
void PrintTo(const GoldCase& c, std::ostream* out) { *out << c.form << " " << c.gold; }
class GoldForms : public ExamplesTest, public ::testing::WithParamInterface<GoldCase> {};
TEST_P(GoldForms, TellTheRightChoice) {
  write("data/test.jsonl", std::string(R"({"gold":")") + GetParam().gold + "\"}");
  const std::string labels = std::string_view(GetParam().form) == "label" ? "  labels: [no, yes]\n" : "";
  const DatasetDefinition definition = define("  split: test\n  context: c\n  choices: [x, y]\n  gold: \"{gold}\"\n" +
                                              labels + "  gold_form: " + GetParam().form + "\n");
  std::string found;
  try {
    found = std::to_string(examples(definition).examples[0].gold[0]);
  } catch (const Error& error) {
    found = error.what();
  }
  EXPECT_THAT(found, ::testing::EndsWith(GetParam().result));
}
INSTANTIATE_TEST_SUITE_P(
    All, GoldForms,
    ::testing::Values(GoldCase{"index", "1", "1"}, GoldCase{"number", "1", "0"}, GoldCase{"letter", "B", "1"},
                      GoldCase{"text", "y", "1"}, GoldCase{"label", "yes", "1"},
                      GoldCase{"index", "2", "gold is '2', expected a number from 0 for one of 2 choices"},
                      GoldCase{"index", "-1", "gold is '-1', expected a number from 0 for one of 2 choices"},
                      GoldCase{"number", "0", "gold is '0', expected a number from 1 for one of 2 choices"},
                      GoldCase{"letter", "C", "gold is 'C', expected a letter from A for one of 2 choices"},
                      GoldCase{"text", "z", "gold is 'z', expected one of 'x', 'y'"},
                      GoldCase{"label", "maybe", "gold is 'maybe', expected one of 'no', 'yes'"},
                      GoldCase{"index", "", "the row has no gold answer"}));

TEST_F(ExamplesTest, NameTheRowsThatCannotBeUsed) {
  write("data/test.jsonl", R"({"q":"ok","a":["x"],"gold":0})"
                           "\nnonsense\n"
                           R"({"a":["x"],"gold":0})"
                           "\n"
                           R"({"q":"?","a":[],"gold":0})"
                           "\n"
                           R"({"q":"?","a":["x",""],"gold":0})"
                           "\n");
  const ExampleSet set = examples(sums());
  EXPECT_EQ(set.examples.size(), 1U);
  EXPECT_EQ(set.rows, 5);
  EXPECT_THAT(problems(set), ElementsAre("test.jsonl:2: not JSON: not valid JSON at byte 2",
                                         "test.jsonl:3: the row has no column 'q'; known: 'a', 'gold'",
                                         "test.jsonl:4: the row has no choices", "test.jsonl:5: choice 2 is empty"));
}

TEST_F(ExamplesTest, NameQuestionsThatGetTooFewShots) {
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)examples(sums(), {.shots = 3}); }),
              HasSubstr("the first of 2 problems: test.jsonl:1: 3 shots are asked for, and split 'train' has 2 usable "
                        "examples"));
}

TEST_F(ExamplesTest, NeverTakeShotsFromTheScoredSplit) {
  EXPECT_THAT(config_error("  split: test\n  context: c\n  choices: [x]\n  gold: \"0\"\n  shots: {split: test}\n"),
              HasSubstr("sums.yaml:10:10: shots from 'test', the scored split, would show its answers"));
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)examples(sums(), {.split = "train", .shots = 1}); }),
            "dataset 'sums': shots from 'train', the scored split, would show its answers");
}

TEST_F(ExamplesTest, HashWhatTheModelReads) {
  const Hash first = examples(sums()).hash;
  EXPECT_EQ(examples(sums()).hash, first);
  EXPECT_NE(examples(sums(), {.shots = 1}).hash, first);
  EXPECT_NE(examples(sums("  delimiter: \"\"\n")).hash, first);
  EXPECT_NE(examples(sums("  metrics: [acc_norm]\n")).hash, first);
}

TEST_F(ExamplesTest, TellWhatChoicesShowOfABias) {
  const std::string roles = "  bias: {ambiguous: \"q == '1+1'\", roles: [\"{if gold}other{else}biased{end}\", ";
  const ExampleSet set = examples(sums(roles + "biased]}\n"));
  ASSERT_EQ(set.examples.size(), 2U);
  EXPECT_THAT(set.examples[0].roles, ElementsAre(AnswerRole::kOther, AnswerRole::kBiased));
  EXPECT_FALSE(set.examples[0].ambiguous);
  EXPECT_THAT(set.examples[1].roles, ElementsAre(AnswerRole::kBiased, AnswerRole::kBiased));
  EXPECT_TRUE(set.examples[1].ambiguous);
  EXPECT_NE(set.hash, examples(sums()).hash);
  EXPECT_THAT(problems(examples(sums(roles + "unknown]}\n"))),
              ElementsAre("test.jsonl:1: none of the choices has the role 'biased'"));
  const auto first_problem = [&](const std::string& more) {
    return error_text(ErrorCode::kData, [&] { (void)examples(sums(roles + more)); });
  };
  EXPECT_THAT(first_problem("good]}\n"),
              HasSubstr("test.jsonl:1: a choice's role is 'good', expected one of 'other', 'biased', 'unknown'"));
  EXPECT_THAT(first_problem("other, biased]}\n"), HasSubstr("test.jsonl:1: 3 roles for 2 choices"));
}

TEST_F(ExamplesTest, CalibrateAsQuestionsWithTheirAnswers) {
  EXPECT_THAT(catalog_.load(sums(), "train").documents, ElementsAre("Q: 0+0\nA: 0", "Q: 0+1\nA: 1"));
  write("data/train.jsonl", "{}");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)catalog_.load(sums(), "train"); }),
            "dataset 'sums': train.jsonl:1: the row has no column 'q'");
}

TEST_F(ExamplesTest, RefuseTasksThatDoNotFitTogether) {
  const std::string good = "  split: test\n  context: c\n";
  EXPECT_THAT(config_error(good + "  gold: \"0\"\n"),
              HasSubstr("a task has one of 'choices', 'contexts' and 'references'"));
  EXPECT_THAT(config_error(good + "  choices: [x]\n"),
              HasSubstr("a task says which choice is right by 'gold', or by entries with 'gold: true'"));
  EXPECT_THAT(config_error(good + "  choices: x\n  gold: \"0\"\n"), HasSubstr("'choices' must be a list, such as"));
  EXPECT_THAT(config_error(good + "  contexts: [x]\n  gold: \"0\"\n"),
              HasSubstr("'contexts' and 'continuation' go together"));
  EXPECT_THAT(config_error(good + "  choices: [x]\n  gold: \"0\"\n  gold_form: label\n"),
              HasSubstr("'labels' belongs to 'gold_form: label', which needs it"));
  EXPECT_THAT(config_error(good + "  choices: [x]\n  gold: \"0\"\n  metrics: [acc_nrom]\n"),
              HasSubstr("sums.yaml:10:12: unknown metric 'acc_nrom'; did you mean 'acc_norm'?"));
  EXPECT_THAT(config_error("  split: tset\n  context: c\n  choices: [x]\n  gold: \"0\"\n"),
              HasSubstr("the task uses split 'tset', which 'splits' does not have; did you mean 'test'?"));
  EXPECT_THAT(config_error(good + "  choices: [\"{a\"]\n  gold: \"0\"\n"),
              HasSubstr("sums.yaml:8:13: template, line 1, column 1: '{' is never closed"));
  EXPECT_THAT(config_error(good + "  choices: [x]\n  gold: \"0\"\n  columns: [x]\n"),
              HasSubstr("'columns' must be a map of texts"));
  EXPECT_THAT(config_error(good + "  choices: [x]\n  gold: \"0\"\n  metrics: [bias_ambiguous]\n"),
              HasSubstr("sums.yaml:10:12: metric 'bias_ambiguous' needs 'bias', which tells what choices show"));
}

TEST_F(ExamplesTest, MayHaveAnswersThatAreWritten) {
  const DatasetDefinition definition = define(
      "  split: test\n  description: \"Sums.\\n\"\n  context: \"{q}=\"\n  references: [{each: a}, \"{gold}\"]\n"
      "  solution: \"it is {gold}\"\n  shots: {split: train}\n"
      "  generation: {stop: [x], max_new_tokens: 7, ignore_case: true, answers: [{pattern: 'a(.)', take: last}]}\n");
  const ExampleSet set = examples(definition, {.shots = 1});
  ASSERT_NE(set.generation, nullptr);
  EXPECT_EQ(set.generation->max_new_tokens, 7);
  EXPECT_THAT(set.generation->stop, ElementsAre("x"));
  EXPECT_TRUE(set.generation->answers.front().last);
  EXPECT_THAT(set.metrics, ElementsAre("exact_match"));
  const Example& first = set.examples.front();
  EXPECT_THAT(first.references, ElementsAre("3", "4", "1"));
  EXPECT_TRUE(first.choices.empty());
  EXPECT_THAT(first.contexts.front(), ::testing::MatchesRegex("Sums.\n0\\+[01]= it is [01]\n\n2\\+2="));
  EXPECT_EQ(first.contexts.front().substr(first.preamble), "2+2=");
  EXPECT_THAT(catalog_.load(definition, "train").documents, ElementsAre("0+0= it is 0", "0+1= it is 1"));
  EXPECT_THAT(catalog_.load(definition, "train", {.answers = false}).documents, ElementsAre("0+0=", "0+1="));
}

TEST_F(ExamplesTest, RefuseWaysOfWritingThatCannotBe) {
  const std::string good = "  split: test\n  context: c\n  references: [x]\n";
  EXPECT_THAT(config_error(good + "  generation: {answers: [{pattern: 'a(b'}]}\n"),
              HasSubstr("regular expression 'a(b' cannot be used: missing closing parenthesis at character 4"));
  EXPECT_THAT(config_error(good + "  generation: {answers: []}\n"), HasSubstr("'answers' must be a list, such as"));
  EXPECT_THAT(config_error(good + "  generation: {answers: [{pattern: a}, {pattern: b}]}\n"),
              HasSubstr("two of 'answers' are called ''"));
  EXPECT_THAT(config_error(good + "  generation: {stop: ['']}\n"), HasSubstr("'stop' holds an empty text"));
  EXPECT_THAT(config_error(good + "  metrics: [acc]\n"), HasSubstr("unknown metric 'acc'"));
  EXPECT_THAT(config_error(good + "  gold: \"0\"\n"), HasSubstr("'references' are the right answers"));
  EXPECT_THAT(config_error("  split: test\n  context: c\n  choices: [x]\n  gold: \"0\"\n  generation: {}\n"),
              HasSubstr("'generation' goes with 'references'"));
  EXPECT_THAT(config_error(good + "  bias: {ambiguous: c, roles: [biased]}\n"),
              HasSubstr("'bias' goes with 'choices'"));
}

TEST_F(ExamplesTest, NeedAReaderOfRows) {
  EXPECT_THAT(error_text(ErrorCode::kConfig,
                         [&] {
                           (void)define("  split: test\n  context: c\n  choices: [x]\n  gold: \"0\"\n",
                                        "{test: {files: [a]}}", "summary: s\nlicence: l\nreader: lines\n");
                         }),
              HasSubstr("'task' needs a reader of rows: jsonl, json, csv, tsv, blocks, conll or generated"));
  write("datasets/plain.yaml", "summary: s\nlicence: l\nreader: lines\nsplits: {test: {files: [test.jsonl]}}\n");
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)examples(catalog_.find("plain")); }),
            "dataset 'plain' is plain text: its definition has no 'task'");
}

}  // namespace
}  // namespace lowbit
