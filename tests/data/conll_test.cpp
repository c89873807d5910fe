#include "data/conll.h"

#include <gmock/gmock.h>

#include <tuple>

#include "lowbit/base/files.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

Rows read(std::string_view text) {
  Rows rows;
  read_tagged_sentences(text, "a.conll", rows);
  return rows;
}

TEST(TaggedSentences, GatherNamesByType) {
  const Rows rows = read(
      "Ann\tB-person\nLee\tI-person\nmet\tO\nBob\tB-person\nof\tO\nNew\tI-location\nYork\tI-location\nAnn\tB-person\n"
      "Lee\tI-person\n\n-DOCSTART- O\n\nNo\tO\nnames\tO\n");
  ASSERT_TRUE(rows.problems.empty());
  ASSERT_EQ(rows.rows.size(), 2U);
  const Json& first = rows.rows[0].columns;
  EXPECT_EQ(first["text"], "Ann Lee met Bob of New York Ann Lee");
  EXPECT_EQ(first["entities"], (Json{{"person", {"Ann Lee", "Bob"}}, {"location", {"New York"}}}));
  EXPECT_EQ(first["words"].size(), 9U);
  EXPECT_EQ(first["tags"][1], "I-person");
  EXPECT_EQ(rows.rows[0].where, "a.conll:1");
  EXPECT_EQ(rows.rows[1].columns["entities"], Json::object());
  EXPECT_EQ(rows.rows[1].where, "a.conll:13");
}

TEST(TaggedSentences, TellNeighbouringNamesApart) {
  // B begins a name, and so does another type; without either the name goes on.
  const Json columns = read("A I-x\nB B-x\nC I-x\nD I-y\n").rows.at(0).columns;
  EXPECT_EQ(columns["entities"], (Json{{"x", {"A", "B C"}}, {"y", {"D"}}}));
}

TEST(TaggedSentences, SplitAtTheTabOrTheLastBlank) {
  EXPECT_EQ(read("ke s\tO\r\n").rows.at(0).columns["words"], Json({"ke s"}));
  EXPECT_EQ(read("a NN B-NP B-ORG\n").rows.at(0).columns["words"], Json({"a NN B-NP"}));
}

TEST(TaggedSentences, PassOverLostWordsOutsideNames) {
  const Rows rows = read("a\tO\n\tO\nb\tO\n\n\tO\n");
  EXPECT_TRUE(rows.problems.empty());
  ASSERT_EQ(rows.rows.size(), 1U);
  EXPECT_EQ(rows.rows[0].columns["text"], "a b");
}

TEST(TaggedSentences, NameLinesThatAreNone) {
  const Rows rows = read("fine\tO\n\nbad\nrest\tO\n\n\tB-y\n\nx\tB-\n\nx\tQ\n\nx\xff\tO\n\nfine\tO");
  EXPECT_EQ(rows.rows.size(), 2U);
  std::vector<std::string> problems;
  for (const ExampleProblem& problem : rows.problems) problems.push_back(problem.where + " " + problem.message);
  const std::string expected = " has no word with a tag behind it: O, B-<type> or I-<type>";
  EXPECT_THAT(problems, ::testing::ElementsAre("a.conll:3 line 3" + expected, "a.conll:6 line 6" + expected,
                                               "a.conll:8 line 8" + expected, "a.conll:10 line 10" + expected,
                                               "a.conll:12 line 12 is not valid UTF-8"));
}

// Sentences and names as the shared task counts them (Derczynski et al. 2017, table 2: 1287 and 1079; 1009 and 836).
TEST(TaggedSentences, AreThoseOfTheSharedTask) {
  const auto data = testing::shared_data("data");
  if (!data) GTEST_SKIP() << "no data in the test data";
  for (const auto& [file, sentences, names] :
       {std::tuple{"ner/wnut17.test.conll", 1287U, 1079}, std::tuple{"ner/wnut17.dev.conll", 1009U, 836}}) {
    const Rows rows = read(read_file(*data / file));
    EXPECT_EQ(rows.rows.size(), sentences);
    int found = 0;
    for (const Row& row : rows.rows) {
      for (const Json& tag : row.columns["tags"]) found += tag.get<std::string>().starts_with("B-");
    }
    EXPECT_EQ(found, names) << file;
  }
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {*data});
  const ExampleSet test = catalog.examples(catalog.find("wnut17"), {.shots = 2});
  EXPECT_TRUE(test.problems.empty());
  EXPECT_EQ(test.examples.size(), 1287U);
  const Example& example = test.examples.front();
  EXPECT_THAT(example.contexts[0], ::testing::EndsWith("area of Sonmarg , said a military spokesman . // Names:"));
  EXPECT_EQ(example.references[0],
            "corporation: None || creative-work: None || group: None || location: Sonmarg || person: None || product: "
            "None");
}

}  // namespace
}  // namespace lowbit
