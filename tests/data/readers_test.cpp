#include "data/readers.h"

#include <gmock/gmock.h>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

std::vector<std::string> read(RowReader reader, std::string_view text, std::int64_t most = 0) {
  DatasetDefinition definition;
  definition.reader = reader;
  definition.delimiter = "<|end|>";
  return read_documents(definition, text, "a.txt", most);
}

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    return error.what();
  }
  return "no error";
}

TEST(RowReaders, TextIsOneDocumentAsItIs) {
  EXPECT_THAT(read(RowReader::kText, " a\n\nb\n"), ElementsAre(" a\n\nb\n"));
}

TEST(RowReaders, ParagraphsEndAtBlankLines) {
  EXPECT_THAT(read(RowReader::kParagraphs, "\n\none\n two\r\n \t\r\n\nthree"), ElementsAre("one\n two", "three"));
  EXPECT_THAT(read(RowReader::kParagraphs, "one\n\ntwo\n\nthree\n", 2), ElementsAre("one", "two"));
  EXPECT_THAT(read(RowReader::kParagraphs, " \n\n"), ElementsAre());
}

TEST(RowReaders, LinesKeepBlankOnesAndLoseTheirEnds) {
  EXPECT_THAT(read(RowReader::kLines, "one\r\n\n two \n"), ElementsAre("one", "", " two "));
}

TEST(RowReaders, JsonLinesTakeOneColumn) {
  EXPECT_THAT(read(RowReader::kJsonl, "{\"id\":1,\"text\":\"a\\nb\"}\n{\"text\":\"\\u00e9\"}\n"),
              ElementsAre("a\nb", "é"));
}

TEST(RowReaders, JsonLinesNameFileAndLineOfABadRow) {
  EXPECT_EQ(error_of([] { (void)read(RowReader::kJsonl, "{\"text\":\"a\"}\n{\"body\":\"b\"}\n"); }),
            "a.txt:2: the row has no column 'text'");
  EXPECT_EQ(error_of([] { (void)read(RowReader::kJsonl, "{\"text\":3}\n"); }),
            "a.txt:1: column 'text' is number, expected a string");
  EXPECT_EQ(error_of([] { (void)read(RowReader::kJsonl, "[1]\n"); }), "a.txt:1: expected a JSON object, found array");
  EXPECT_THAT(error_of([] { (void)read(RowReader::kJsonl, "{\"text\":\"a\"}\n{\n"); }), StartsWith("a.txt:2: "));
}

TEST(RowReaders, DelimitedDocumentsAreTrimmedAndNeverEmpty) {
  EXPECT_THAT(read(RowReader::kDelimited, " one\n<|end|>\n<|end|>two <|end|>\n"), ElementsAre("one", "two"));
}

// The hub's rows: " = Title = \n" keeps its line feed, a line of one blank is the empty row.
TEST(RowReaders, WikitextRowsKeepTheirLineFeed) {
  EXPECT_THAT(read(RowReader::kWikitextRows, " \n = Title = \n \n Text \n"),
              ElementsAre("", " = Title = \n", "", " Text \n"));
}

TEST(RowReaders, WikitextPagesBeginAtTitlesOnly) {
  EXPECT_THAT(read(RowReader::kWikitextPages, " \n = A = \n \n = = Part = = \n one \n = B = \n two \n"),
              ElementsAre(" = A = \n \n = = Part = = \n one ", " = B = \n two \n"));
}

TEST(RowReaders, WikitextTestSetHas62Pages) {
  const auto path = testing::shared_data("data/wikitext2/wiki.test.raw");
  if (!path) GTEST_SKIP() << "no data/wikitext2 in the test data";
  EXPECT_EQ(read(RowReader::kWikitextPages, read_text(*path)).size(), 62U);
  EXPECT_EQ(read(RowReader::kWikitextRows, read_text(*path)).size(), 4358U);
}

TEST(ReadText, NamesLineAndByteOfBadUtf8) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "one\ntw\xFFo\n");
  EXPECT_EQ(error_of([&] { (void)read_text(folder / "a.txt"); }),
            (folder / "a.txt").string() + ":2: not valid UTF-8 at byte 6; convert the file to UTF-8");
}

TEST(ReadText, DropsTheByteOrderMark) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "\xEF\xBB\xBFone");
  EXPECT_EQ(read_text(folder / "a.txt"), "one");
}

TEST(ReadText, KeepsTheFirstLines) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "one\ntwo\nthree");
  EXPECT_EQ(read_text(folder / "a.txt", 2), "one\ntwo\n");
  EXPECT_EQ(read_text(folder / "a.txt", 3), "one\ntwo\nthree");
}

}  // namespace
}  // namespace lowbit
