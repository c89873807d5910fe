#include <gmock/gmock.h>

#include <cstdlib>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/data/examples.h"
#include "support/error_text.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

/// A row as it lies in the hub's local cache, where its columns may be other than in a data folder.
struct CachedRow {
  std::string dataset;
  std::string snapshot;  ///< "datasets--allenai--ai2_arc/snapshots/c/ARC-Easy/test.jsonl"
  Json row;
  std::vector<std::string> contexts;  ///< one, or one a choice
  std::vector<std::string> continuations;
  std::size_t gold;
};
void PrintTo(const CachedRow& row, std::ostream* out) { *out << row.dataset; }

class HubCacheLayout : public ::testing::TestWithParam<CachedRow> {
 protected:
  void SetUp() override { ASSERT_EQ(::setenv("HF_HUB_CACHE", folder_.path().c_str(), 1), 0); }
  void TearDown() override { ::unsetenv("HF_HUB_CACHE"); }
  testing::TemporaryFolder folder_;
};

TEST_P(HubCacheLayout, BecomesTheFieldsPrompt) {
  const CachedRow& expected = GetParam();
  const std::filesystem::path file = folder_ / ("datasets--" + expected.snapshot);
  make_folders(file.parent_path());
  write_file_atomically(file, expected.row.dump());
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {});
  const ExampleSet set = catalog.examples(catalog.find(expected.dataset), {.shots = 0});
  ASSERT_EQ(set.examples.size(), 1U);
  EXPECT_THAT(set.examples[0].contexts, ElementsAreArray(expected.contexts));
  if (set.generation != nullptr) {
    EXPECT_THAT(set.examples[0].references, ElementsAreArray(expected.continuations));
    return;
  }
  EXPECT_THAT(set.examples[0].continuations, ElementsAreArray(expected.continuations));
  EXPECT_EQ(set.examples[0].gold.front(), expected.gold);
}

CachedRow arc(const std::string& dataset, const std::string& config) {
  return {dataset,
          "allenai--ai2_arc/snapshots/c/" + config + "/test.jsonl",
          {{"question", "Q?"}, {"choices", {{"text", {"a", "b"}}, {"label", {"1", "2"}}}}, {"answerKey", "2"}},
          {"Question: Q?\nAnswer:"},
          {" a", " b"},
          1};
}

CachedRow toxigen(double by_machine, double by_people, std::size_t gold) {
  return {"toxigen",
          "toxigen--toxigen-data/snapshots/c/annotated/test.jsonl",
          {{"text", "T"}, {"toxicity_ai", by_machine}, {"toxicity_human", by_people}},
          {"Is the following statement hateful? Respond with either Yes or No. Statement: 'T'"},
          {" No", " Yes"},
          gold};
}

CachedRow winogrande(const char* answer, std::size_t gold) {
  return {"winogrande",
          "allenai--winogrande/snapshots/c/winogrande_xl/validation.jsonl",
          {{"sentence", "Ann saw Bo and _ ran to _."}, {"option1", "Ann"}, {"option2", "Bo"}, {"answer", answer}},
          {"Ann saw Bo and Ann", "Ann saw Bo and Bo"},
          {" ran to _."},
          gold};
}

INSTANTIATE_TEST_SUITE_P(
    All, HubCacheLayout,
    ::testing::Values(
        arc("arc-easy", "ARC-Easy"), arc("arc-challenge", "ARC-Challenge"), toxigen(2.5, 3.0, 0), toxigen(2.5, 3.2, 1),
        winogrande("1", 0), winogrande("2", 1),
        CachedRow{
            "openbookqa",
            "allenai--openbookqa/snapshots/c/main/test.jsonl",
            {{"question_stem", "Q"}, {"choices", {{"text", {"a", "b"}}, {"label", {"A", "B"}}}}, {"answerKey", "B"}},
            {"Q"},
            {" a", " b"},
            1},
        CachedRow{"hellaswag",
                  "Rowan--hellaswag/snapshots/c/data/validation.jsonl",
                  {{"activity_label", "Roof"},
                   {"ctx_a", "A man sits."},
                   {"ctx_b", "he"},
                   {"endings", {"[step] a", "b", "c", "d"}},
                   {"label", "3"}},
                  {"Roof: A man sits. He"},
                  {"  a", " b", " c", " d"},
                  3},
        CachedRow{"piqa",
                  "baber--piqa/snapshots/c/default/validation.jsonl",
                  {{"goal", "G"}, {"sol1", "a"}, {"sol2", "b"}, {"label", 1}},
                  {"Question: G\nAnswer:"},
                  {" a", " b"},
                  1},
        CachedRow{"boolq",
                  "aps--super_glue/snapshots/c/boolq/validation.jsonl",
                  {{"passage", "P."}, {"question", "is it"}, {"label", 1}},
                  {"P.\nQuestion: is it?\nAnswer:"},
                  {" no", " yes"},
                  1},
        CachedRow{"copa",
                  "aps--super_glue/snapshots/c/copa/validation.jsonl",
                  {{"premise", "He ran. "},
                   {"choice1", "It was late."},
                   {"choice2", "She."},
                   {"question", "cause"},
                   {"label", 0}},
                  {"He ran because"},
                  {"  it was late.", "  she."},
                  0},
        CachedRow{"lambada",
                  "EleutherAI--lambada_openai/snapshots/c/default/test.jsonl",
                  {{"text", "he saw the sea"}},
                  {"he saw the"},
                  {" sea"},
                  0},
        CachedRow{"mmlu",
                  "cais--mmlu/snapshots/c/anatomy/test.jsonl",
                  {{"question", "Q? "}, {"subject", "anatomy"}, {"choices", {"a", "b", "c", "d"}}, {"answer", 2}},
                  {"The following are multiple choice questions (with answers) about anatomy.\n\nQ?\nA. a\nB. b\nC. "
                   "c\nD. d\nAnswer:"},
                  {" A", " B", " C", " D"},
                  2},
        CachedRow{"ceval",
                  "ceval--ceval-exam/snapshots/c/law/val.jsonl",
                  {{"question", "Q"}, {"A", "a"}, {"B", "b"}, {"C", "c"}, {"D", "d"}, {"answer", "B"}},
                  {"以下是中国关于法学的单项选择题，请选出其中的正确答案。\n\nQ\nA. a\nB. b\nC. c\nD. d\n答案："},
                  {" A", " B", " C", " D"},
                  1},
        CachedRow{"triviaqa",
                  "mandarjoshi--trivia_qa/snapshots/c/rc.nocontext/validation.jsonl",
                  {{"question", "Q?"}, {"answer", {{"aliases", {"x", "y"}}, {"value", "x"}}}},
                  {"Question: Q?\nAnswer:"},
                  {"x", "y"},
                  0},
        CachedRow{"mutual-plus",
                  "EleutherAI--mutual/snapshots/c/mutual_plus/validation.jsonl",
                  {{"article", "m : hi ."}, {"options", {"f : a", "f : b"}}, {"answers", "B"}},
                  {"m: hi."},
                  {" f: a", " f: b"},
                  1},
        CachedRow{"mc-taco",
                  "CogComp--mc_taco/snapshots/c/plain_text/test/0000.jsonl",
                  {{"sentence", "S."}, {"question", "Q?"}, {"answer", "A"}, {"label", 0}},
                  {"S.\nQuestion: Q?\nAnswer: A\nPlausible:"},
                  {" no", " yes"},
                  0}));

TEST(HubCache, SaysWhatToFetch) {
  const testing::TemporaryFolder folder;
  ASSERT_EQ(::setenv("HF_HUB_CACHE", folder.path().c_str(), 1), 0);
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {});
  EXPECT_THAT(testing::error_text(ErrorCode::kData, [&] { (void)catalog.examples(catalog.find("swag"), {}); }),
              HasSubstr("; or fetch it into the hub's local cache: hf download allenai/swag --repo-type dataset "
                        "--revision refs/convert/parquet --include 'regular/validation/*'"));
  ::unsetenv("HF_HUB_CACHE");
}

}  // namespace
}  // namespace lowbit
