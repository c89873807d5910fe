#include <gmock/gmock.h>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/data/examples.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAreArray;

/// A row as the hub has it, and what EleutherAI's harness makes of it (its task's doc_to_text, doc_to_choice and
/// doc_to_target, by hand).
struct HubRow {
  std::string dataset;
  std::string file;
  Json row;
  const char* context;
  std::vector<std::string> continuations;
  std::size_t gold;
};
void PrintTo(const HubRow& row, std::ostream* out) { *out << row.dataset; }

HubRow qa4mre(const std::string& dataset) {
  return {dataset,
          dataset + "/train.jsonl",
          {{"document_str", " D\n"},
           {"question_str", "Q?"},
           {"answer_options", {{"answer_str", {"a", "b"}}}},
           {"correct_answer_id", "2"}},
          "D\nQuestion: Q?\nAnswer:",
          {" a", " b"},
          1};
}

HubRow anli(const std::string& round) {
  return {"anli-" + round,
          "anli-" + round + "/test_" + round + ".jsonl",
          {{"premise", "P."}, {"hypothesis", "H."}, {"label", 2}},
          "P.\nQuestion: H. True, False, or Neither?\nAnswer:",
          {" True", " Neither", " False"},
          2};
}

class HubLayout : public ::testing::TestWithParam<HubRow> {};

TEST_P(HubLayout, BecomesTheFieldsPrompt) {
  const HubRow& expected = GetParam();
  const testing::TemporaryFolder folder;
  make_folders((folder / expected.file).parent_path());
  const bool is_list = std::string_view(expected.file).ends_with(".json");
  write_file_atomically(folder / expected.file, is_list ? Json::array({expected.row}).dump() : expected.row.dump());
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {folder.path()});
  const ExampleSet set = catalog.examples(catalog.find(expected.dataset), {});
  ASSERT_EQ(set.examples.size(), 1U);
  EXPECT_EQ(set.examples[0].contexts[0], expected.context);
  EXPECT_THAT(set.examples[0].continuations, ElementsAreArray(expected.continuations));
  EXPECT_EQ(set.examples[0].gold.front(), expected.gold);
}

INSTANTIATE_TEST_SUITE_P(
    All, HubLayout,
    ::testing::Values(HubRow{"sciq",
                             "sciq/test.json",
                             {{"question", "q?"},
                              {"support", "  s"},
                              {"distractor1", "a"},
                              {"distractor2", "b"},
                              {"distractor3", "c"},
                              {"correct_answer", "d"}},
                             "s\nQuestion: q?\nAnswer:",
                             {" a", " b", " c", " d"},
                             3},
                      HubRow{"swag",
                             "swag/validation.jsonl",
                             {{"startphrase", "He"},
                              {"ending0", "a"},
                              {"ending1", "b"},
                              {"ending2", "c"},
                              {"ending3", "d"},
                              {"label", 2}},
                             "He",
                             {" a", " b", " c", " d"},
                             2},
                      HubRow{"mc-taco",
                             "mc-taco/test.jsonl",
                             {{"sentence", "S."}, {"question", "Q?"}, {"answer", "A"}, {"label", 1}},
                             "S.\nQuestion: Q?\nAnswer: A\nPlausible:",
                             {" no", " yes"},
                             1},
                      HubRow{"math-qa-texts",
                             "mathqa/test.json",
                             {{"Problem", "P ?"},
                              {"options", "a ) 38 , b ) 27.675 , c ) 30 , d ) data inadequate , e ) none of these"},
                              {"correct", "a"}},
                             "Question: P ?\nAnswer:",
                             {" 38", " 27.675", " 30", " data inadequate", " none of these"},
                             0},
                      HubRow{"race",
                             "race/test.jsonl",
                             {{"article", "T"}, {"question", "Q?"}, {"options", {"a", "b", "c", "d"}}, {"answer", "C"}},
                             "Article: T\n\nQuestion: Q?\nAnswer:",
                             {" a", " b", " c", " d"},
                             2},
                      qa4mre("qa4mre"), qa4mre("qa4mre-2012"), qa4mre("qa4mre-2013"), anli("r1"), anli("r2"),
                      anli("r3"),
                      HubRow{"crows-pairs-french",
                             "crows-pairs-french/test.jsonl",
                             {{"sent_more", "Ils."}, {"sent_less", "Elles."}},
                             "",
                             {"Ils.", "Elles."},
                             0},
                      HubRow{"mnli",
                             "mnli/validation_matched.jsonl",
                             {{"premise", "P."}, {"hypothesis", "H "}, {"label", 2}},
                             "P.\nQuestion: H. True, False or Neither?\nAnswer:",
                             {" True", " Neither", " False"},
                             2},
                      HubRow{"mnli-mm",
                             "mnli-mm/validation_mismatched.jsonl",
                             {{"premise", "P."}, {"hypothesis", "H."}, {"label", 0}},
                             "P.\nQuestion: H. True, False or Neither?\nAnswer:",
                             {" True", " Neither", " False"},
                             0},
                      HubRow{"snli",
                             "snli/test.jsonl",
                             {{"premise", "P."}, {"hypothesis", "H."}, {"label", 1}},
                             "P.\nQuestion: H. True, False or Neither?\nAnswer:",
                             {" True", " Neither", " False"},
                             1},
                      HubRow{"rte",
                             "rte/validation.jsonl",
                             {{"sentence1", "A."}, {"sentence2", "B."}, {"label", 1}},
                             "A.\nQuestion: B. True or False?\nAnswer:",
                             {" True", " False"},
                             1},
                      HubRow{"wnli",
                             "wnli/validation.jsonl",
                             {{"sentence1", "A."}, {"sentence2", "B."}, {"label", 1}},
                             "A.\nQuestion: B. True or False?\nAnswer:",
                             {" False", " True"},
                             1},
                      HubRow{"qnli",
                             "qnli/validation.jsonl",
                             {{"question", "Q?"}, {"sentence", "S."}, {"label", 0}},
                             "Q?\nS.\nQuestion: Does this response answer the question?\nAnswer:",
                             {" yes", " no"},
                             0},
                      HubRow{"sst2",
                             "sst2/validation.jsonl",
                             {{"sentence", "fine"}, {"label", 1}},
                             "fine\nQuestion: Is this sentence positive or negative?\nAnswer:",
                             {" negative", " positive"},
                             1},
                      HubRow{"mutual",
                             "mutual/validation.jsonl",
                             {{"article", "m : i do n't know , `` bob '' ."},
                              {"options", {"f : it 's ok !", "f : no ?"}},
                              {"answers", "B"}},
                             "m: i don't know, \"bob\".",
                             {" f: it's ok!", " f: no?"},
                             1},
                      HubRow{"blimp",
                             "blimp/adjunct_island.jsonl",
                             {{"sentence_good", "G."}, {"sentence_bad", "B."}},
                             "",
                             {" G.", " B."},
                             0}));

/// A line as the source has it, whose answer is written.
struct WrittenRow {
  const char* dataset;
  const char* file;
  std::string line;
  const char* context;
  std::vector<std::string> references;
};
void PrintTo(const WrittenRow& row, std::ostream* out) { *out << row.dataset; }

class WrittenLayout : public ::testing::TestWithParam<WrittenRow> {};

TEST_P(WrittenLayout, BecomesAPromptAndItsAnswers) {
  const WrittenRow& expected = GetParam();
  const testing::TemporaryFolder folder;
  make_folders((folder / expected.file).parent_path());
  write_file_atomically(folder / expected.file, expected.line + "\n");
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {folder.path()});
  const ExampleSet set = catalog.examples(catalog.find(expected.dataset), {.shots = 0});
  ASSERT_EQ(set.examples.size(), 1U);
  EXPECT_EQ(set.examples[0].contexts.front(), expected.context);
  EXPECT_THAT(set.examples[0].references, ElementsAreArray(expected.references));
}

INSTANTIATE_TEST_SUITE_P(
    All, WrittenLayout,
    ::testing::Values(
        WrittenRow{"squad",
                   "squad/validation.jsonl",
                   R"({"title":"T","context":"c","question":"q?","answers":{"text":["a","b"],"answer_start":[0,1]}})",
                   "Title: T\n\nBackground: c\n\nQuestion: q?\n\nAnswer:",
                   {"a", "b"}},
        WrittenRow{"xsum",
                   "xsum/test.jsonl",
                   R"({"document":"d","summary":"s","id":"1"})",
                   "Summarize the following article:\n\nd\n\nSummary:",
                   {"s"}},
        WrittenRow{"cnn-dailymail",
                   "cnn_dailymail/test.jsonl",
                   R"({"article":"d","highlights":"h","id":"1"})",
                   "Summarize the following article:\n\nd\n\nSummary:",
                   {"h"}},
        WrittenRow{"flores-en-zh",
                   "flores/devtest.jsonl",
                   R"({"sentence_eng_Latn":"cat","sentence_zho_Hans":"猫"})",
                   "English: cat\nChinese:",
                   {"猫"}},
        WrittenRow{"flores-zh-en",
                   "flores/devtest.jsonl",
                   R"({"sentence_eng_Latn":"cat","sentence_zho_Hans":"猫"})",
                   "Chinese: 猫\nEnglish:",
                   {"cat"}},
        WrittenRow{
            "boss-newsqa",
            "boss/QuestionAnswering/newsqa/test.json",
            R"({"title":"","context":"c","id":"1","question":"q?","answers":{"text":["a"],"answer_start":["a"]}})",
            "Passage: c\nQuestion: q?\nAnswer:",
            {"a"}}));

// Lines with a blank on either side, which GPTQ's protocol joins by one.
TEST(PennTreebank, JoinsItsSentencesByBlanks) {
  const testing::TemporaryFolder folder;
  make_folders(folder / "ptb");
  write_file_atomically(folder / "ptb/ptb.test.txt", " no it was n't black monday \n but <unk> N fell \n");
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {folder.path()});
  EXPECT_EQ(catalog.load(catalog.find("ptb"), "test").joined(), "no it was n't black monday but <unk> N fell");
}

/// A table as BOSS has it: a header, then a row of the class with the given number.
struct BossSet {
  const char* task;
  std::string dataset;
  std::string folder;
  const char* header;
  const char* row;
  std::string end;
  std::vector<std::string> choices;
};

std::string without_underscores(std::string name) {
  std::erase(name, '_');
  return name;
}

TEST(BossLayout, BecomesAPromptWithItsClasses) {
  const std::vector<std::string> moods = {"negative", "positive", "neutral"};
  const std::vector<std::string> toxicity = {"benign", "toxic"};
  const std::vector<std::string> inference = {"entailment", "neutral", "contradiction"};
  std::vector<BossSet> sets;
  for (const char* name : {"amazon", "dynasent", "semeval", "sst5"}) {
    sets.push_back({"SentimentAnalysis", name, name, "Text\tLabel", "fine\t1", "Text: fine // Prediction:", moods});
  }
  for (const char* name : {"civil_comments", "adv_civil", "implicit_hate", "toxigen"}) {
    sets.push_back({"ToxicDetection", without_underscores(name), name, "Text\tLabel", "fine\t1",
                    "Text: fine // Prediction:", toxicity});
  }
  for (const char* name : {"mnli", "anli", "contract_nli", "wanli"}) {
    sets.push_back({"NaturalLanguageInference", without_underscores(name), name, "Premise\tHypothesis\tLabel",
                    "p\th\t1", "Premise: p // Hypothesis: h // Prediction:", inference});
  }
  for (const BossSet& expected : sets) {
    SCOPED_TRACE(expected.dataset);
    const testing::TemporaryFolder folder;
    const std::string place = fmt::format("boss/{}/{}", expected.task, expected.folder);
    make_folders(folder / place);
    for (const char* split : {"train", "test"}) {
      write_file_atomically(folder / fmt::format("{}/{}.tsv", place, split),
                            fmt::format("{}\n{}\n", expected.header, expected.row));
    }
    const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {folder.path()});
    const ExampleSet set = catalog.examples(catalog.find(fmt::format("boss-{}", expected.dataset)), {.shots = 1});
    ASSERT_EQ(set.examples.size(), 1U);
    EXPECT_THAT(set.examples[0].contexts.front(), ::testing::EndsWith("\n" + expected.end));
    EXPECT_THAT(set.examples[0].contexts.front(), ::testing::StartsWith("### Instruction ###\n"));
    EXPECT_THAT(set.examples[0].contexts.front(), ::testing::HasSubstr(expected.end + " " + expected.choices[1] + "\n"))
        << "the shot";
    EXPECT_THAT(set.examples[0].choices, ElementsAreArray(expected.choices));
    EXPECT_EQ(set.examples[0].gold.front(), 1U);
  }
}

}  // namespace
}  // namespace lowbit
