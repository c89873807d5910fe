#include <gmock/gmock.h>

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
  const char* dataset;
  const char* file;
  Json row;
  const char* context;
  std::vector<std::string> continuations;
  std::size_t gold;
};
void PrintTo(const HubRow& row, std::ostream* out) { *out << row.dataset; }

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
                      HubRow{"race",
                             "race/test.jsonl",
                             {{"article", "T"}, {"question", "Q?"}, {"options", {"a", "b", "c", "d"}}, {"answer", "C"}},
                             "Article: T\n\nQuestion: Q?\nAnswer:",
                             {" a", " b", " c", " d"},
                             2},
                      HubRow{"qa4mre",
                             "qa4mre/train.jsonl",
                             {{"document_str", " D\n"},
                              {"question_str", "Q?"},
                              {"answer_options", {{"answer_str", {"a", "b"}}}},
                              {"correct_answer_id", "2"}},
                             "D\nQuestion: Q?\nAnswer:",
                             {" a", " b"},
                             1},
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
                      HubRow{"anli-r1",
                             "anli-r1/test_r1.jsonl",
                             {{"premise", "P."}, {"hypothesis", "H."}, {"label", 2}},
                             "P.\nQuestion: H. True, False, or Neither?\nAnswer:",
                             {" True", " Neither", " False"},
                             2},
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

}  // namespace
}  // namespace lowbit
