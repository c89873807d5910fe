#include "data/rows.h"

#include <gmock/gmock.h>

#include "data/table.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using testing::error_text;

std::vector<std::vector<std::string>> fields(std::string_view text, char separator = ',') {
  std::vector<std::vector<std::string>> all;
  for (const TableRecord& record : read_table(text, separator, "t")) all.push_back(record.fields);
  return all;
}

TEST(Table, ReadsQuotedFields) {
  EXPECT_THAT(fields("a,b\n1,\"x, \"\"y\"\"\nz\"\r\n"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "x, \"y\"\nz")));
  EXPECT_THAT(fields("a\tb,c\n", '\t'), ElementsAre(ElementsAre("a", "b,c")));
  EXPECT_THAT(fields("a,\"\"\n\nb,say \"hi\""), ElementsAre(ElementsAre("a", ""), ElementsAre("b", "say \"hi\"")));
  EXPECT_THAT(fields(",\n"), ElementsAre(ElementsAre("", "")));
}

TEST(Table, KnowsTheLineOnWhichARecordBegins) {
  const std::vector<TableRecord> records = read_table("a,\"1\n2\"\nb,c\n", ',', "t");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[1].line, 3);
}

TEST(Table, SaysWhereAnUnclosedQuoteBegins) {
  EXPECT_EQ(error_text(ErrorCode::kData, [] { (void)read_table("a\nb,\"c\nd\n", ',', "x.csv"); }),
            "x.csv:2: a quote is opened and never closed");
}

struct Reading {
  RowReader reader;
  std::string rows = {};
  std::vector<std::string> header = {};
};
Rows read(const Reading& how, std::string_view text) {
  DatasetDefinition definition;
  definition.reader = how.reader;
  definition.rows = how.rows;
  definition.header = how.header;
  return read_rows(definition, text, "f");
}
std::vector<std::string> dumped(const Rows& rows) {
  std::vector<std::string> texts;
  for (const Row& row : rows.rows) texts.push_back(row.where + " " + row.columns.dump());
  return texts;
}
std::vector<std::string> problems(const Rows& rows) {
  std::vector<std::string> texts;
  for (const ExampleProblem& problem : rows.problems) texts.push_back(problem.where + " " + problem.message);
  return texts;
}

TEST(Rows, ReadJsonLinesAndNameTheBrokenOnes) {
  const Rows rows = read({RowReader::kJsonl}, "{\"a\":1}\n\n[1]\n{\"a\":\n{\"b\":\"\xff\"}\n{\"a\":2}");
  EXPECT_THAT(dumped(rows), ElementsAre("f:1 {\"a\":1}", "f:6 {\"a\":2}"));
  EXPECT_THAT(problems(rows),
              ElementsAre("f:3 expected a JSON object, found array", "f:4 not JSON: not valid JSON at byte 6",
                          "f:5 not valid UTF-8 at byte 6 of the row"));
}

TEST(Rows, AreFoundWithinJsonWithWhatStandsAroundThem) {
  const Rows rows = read({RowReader::kJson, "data.qas"},
                         R"({"v":1,"data":[{"context":"c","qas":[{"q":"x"},{"q":"y","v":2}]},{"title":"t"},3]})");
  EXPECT_THAT(dumped(rows), ElementsAre(R"(f: data[0].qas[0] {"v":1,"context":"c","q":"x"})",
                                        R"(f: data[0].qas[1] {"v":2,"context":"c","q":"y"})"));
  EXPECT_THAT(problems(rows), ElementsAre("f: data[1] has no 'qas', where the definition says its rows are",
                                          "f: data[2] expected a JSON object, found number"));
}

TEST(Rows, ReadTablesByTheirHeader) {
  const Rows rows = read({RowReader::kCsv}, ",q,a\n0,why,because\n1,short\n2,\"\xff\",x\n");
  EXPECT_THAT(dumped(rows), ElementsAre(R"(f:2 {"column1":"0","q":"why","a":"because"})"));
  EXPECT_THAT(problems(rows), ElementsAre("f:3 2 fields, expected 3", "f:4 not valid UTF-8 at byte 0 of the row"));
  EXPECT_THAT(dumped(read({RowReader::kTsv, "", {"q", "a"}}, "x\ty\n")), ElementsAre(R"(f:1 {"q":"x","a":"y"})"));
}

TEST(Rows, RefuseAHeaderThatRepeatsAName) {
  EXPECT_EQ(error_text(ErrorCode::kData, [] { (void)read({RowReader::kCsv}, "a,b,a\n"); }),
            "f: the column 'a' stands twice in the header");
  // As many columns as a hostile file may have are told apart in no time.
  std::string header;
  for (int column = 0; column < 200000; ++column) header += fmt::format("c{},", column);
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)read({RowReader::kCsv}, header + "c7\n"); }),
            "f: the column 'c7' stands twice in the header");
}

TEST(Rows, RefuseAHeaderThatIsNoText) {
  EXPECT_EQ(error_text(ErrorCode::kData, [] { (void)read({RowReader::kTsv}, "a\t\xef\n1\t2\n"); }),
            "f: the header is not valid UTF-8");
}

TEST(Rows, MayBeBlocksOfLines) {
  const Rows rows = read({RowReader::kBlocks, "", {"q", "a"}}, "q1\r\na1\nq2\n\nq3\n");
  EXPECT_THAT(dumped(rows), ElementsAre(R"(f:1 {"q":"q1","a":"a1"})", R"(f:3 {"q":"q2","a":""})"));
  EXPECT_THAT(problems(rows), ElementsAre("f:5 1 fields, expected 2"));
}

}  // namespace
}  // namespace lowbit
