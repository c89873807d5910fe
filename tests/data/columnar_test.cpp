#include "data/columnar.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "data/readers.h"
#include "data/rows.h"
#include "data/unpack.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "support/error_text.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ColumnarLibrary, SaysWhatToDoWhereItIsMissing) {
  const std::vector<std::string> places = {"/absent/liblowbit_arrow.so"};
  const std::string text =
      error_text(ErrorCode::kUnsupported, [&] { (void)columnar::load_table(places, "data/x.parquet"); });
  EXPECT_THAT(text,
              StartsWith("data/x.parquet: Parquet and Arrow files are read by liblowbit_arrow.so, which cannot be "
                         "loaded (/absent/liblowbit_arrow.so: cannot open"));
  EXPECT_THAT(text, HasSubstr("; run 'tools/setup --arrow' and build lowbit again, or write the file as JSON lines"));
}

#ifdef LOWBIT_HAS_ARROW
constexpr bool kHasArrow = true;
#else
constexpr bool kHasArrow = false;
#endif

// Files that pyarrow wrote, and the rows that it reads of them (tests/golden/data/tables.py).
class TableFile : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kHasArrow) GTEST_SKIP() << "built without Arrow; tools/setup --arrow brings it";
  }
  static std::filesystem::path path(const std::string& name) {
    return testing::source_folder() / "tests/golden/data/tables" / name;
  }
  static Rows rows_of(const std::string& text) {
    DatasetDefinition definition;
    definition.reader = RowReader::kJsonl;
    return read_rows(definition, text, "t");
  }
};

TEST_F(TableFile, HasTheRowsThatPyarrowReads) {
  const Json expected = parse_json(read_file(path("rows.json")), "rows.json");
  ASSERT_EQ(expected.size(), 11U);
  for (const auto& [name, rows] : expected.items()) {
    const Rows found = rows_of(read_bytes(path(name)));
    EXPECT_TRUE(found.problems.empty()) << name;
    ASSERT_EQ(found.rows.size(), rows.size()) << name;
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(found.rows[i].columns, rows[i]) << name << " " << i;
  }
}

// The hub's WikiText is a table whose rows are the lines of the original file.
TEST_F(TableFile, HoldsTheDocumentsOfTheTextItWasMadeOf) {
  const testing::TemporaryFolder folder;
  make_folders(folder / "wikitext/wikitext-2-raw-v1");
  make_folders(folder / "wikitext2");
  std::filesystem::copy_file(path("wikitext.parquet"),
                             folder / "wikitext/wikitext-2-raw-v1/test-00000-of-00001.parquet");
  write_file_atomically(folder / "wikitext2/wiki.test.raw",
                        " \n = A page = \n \n Text , with a space before its end . \n \n = = Part = = \nMore .\n");
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {folder.path()});
  const Corpus table = catalog.load(catalog.find("wikitext2-hub"), "test");
  const Corpus text = catalog.load(catalog.find("wikitext2"), "test");
  EXPECT_EQ(table.documents, text.documents);
  EXPECT_EQ(table.documents.size(), 7U);
  EXPECT_EQ(table.hash, text.hash);
}

TEST_F(TableFile, IsReadRowGroupByRowGroup) {
  const Rows all = rows_of(read_bytes(path("many.parquet")));
  ASSERT_EQ(all.rows.size(), 5000U);
  EXPECT_EQ(all.rows[4321].columns["number"], 4321);
  EXPECT_EQ(all.rows[4321].columns["text"], "document 4321: word word ");
  // Seven groups of 700: the first rows need no other.
  EXPECT_EQ(rows_of(read_bytes(path("many.parquet"), 3)).rows.size(), 3U);
}

TEST_F(TableFile, IsBoundByTheTextThatIsRead) {
  EXPECT_THAT(error_text(ErrorCode::kData, [] { (void)read_bytes(path("many.parquet"), 0, 200000); }),
              HasSubstr("many.parquet: unpacks to more than "));
}

TEST_F(TableFile, IsBoundByTheMemoryThatDecodingTakes) {
  EXPECT_THAT(error_text(ErrorCode::kData, [] { (void)read_bytes(path("many.parquet"), 1, 2000); }),
              HasSubstr("many.parquet: decoding needs more than 2000 bytes"));
}

TEST_F(TableFile, IsBoundByTheTextOfARow) {
  EXPECT_THAT(error_text(ErrorCode::kData, [] { (void)read_bytes(path("bomb.arrow"), 0, 1 << 20); }),
              HasSubstr("bomb.arrow: row 1, column 'words': the row has more than 1048576 bytes of text"));
  EXPECT_EQ(rows_of(read_bytes(path("bomb.arrow"), 0, 8 << 20)).rows.at(0).columns["words"].size(), 2000U);
}

TEST_F(TableFile, NamesTheRowWhoseTextIsNotUtf8) {
  const Rows rows = rows_of(read_bytes(path("broken.arrow")));
  EXPECT_EQ(rows.rows.size(), 2U);
  ASSERT_EQ(rows.problems.size(), 1U);
  EXPECT_EQ(rows.problems[0].where, "t:2");
  EXPECT_THAT(rows.problems[0].message, StartsWith("not valid UTF-8 at byte "));
}

TEST_F(TableFile, NamesAColumnThatHasNoForm) {
  EXPECT_THAT(error_text(ErrorCode::kData, [] { (void)read_bytes(path("map.parquet")); }),
              HasSubstr("map.parquet: row 1, column 'span': type map<string, int32 ('span')> has no form in JSON"));
}

TEST_F(TableFile, RefusesWhatIsNoTable) {
  for (const char* extension : {".parquet", ".arrow"}) {
    for (const std::string text : {"", "PAR1", "{\"text\": \"a row of JSON lines\"}\n"}) {
      EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)unpack_table(extension, text, "a", 1 << 20); }),
                  StartsWith("a: "))
          << extension << " " << text;
    }
  }
}

// A Parquet file without rows whose only column lies `depth` groups deep. Its end is written in Thrift's compact form:
// field and type in a byte, numbers zigzag and 7 bits a byte.
std::string nested_parquet(std::uint32_t depth) {
  const auto number = [](std::uint32_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
    return bytes + static_cast<char>(value);
  };
  const std::string root = std::string("\x48\x01s\x15\x02\0", 6);           // name "s", 1 child
  const std::string group = std::string("\x35\x02\x18\x01g\x15\x02\0", 8);  // optional, name "g", 1 child
  const std::string leaf = std::string("\x15\x0C\x25\x02\x18\x01x\0", 8);   // bytes, optional, name "x"
  std::string end = "\x15\x04\x19\xFC" + number(depth + 2) + root;
  for (std::uint32_t i = 0; i < depth; ++i) end += group;
  end += leaf + std::string("\x16\0\x19\x0C\0", 5);  // no rows, no row groups
  const auto size = static_cast<std::uint32_t>(end.size());
  return "PAR1" + end + std::string(reinterpret_cast<const char*>(&size), sizeof size) + "PAR1";
}

TEST_F(TableFile, IsBoundInDepth) {
  for (const std::uint32_t depth : {50U, 4000U}) {
    EXPECT_EQ(unpack_table(".parquet", nested_parquet(depth), "a", 64 << 20), "") << depth;
  }
  for (const std::uint32_t depth : {5000U, 200000U}) {
    EXPECT_THAT(
        error_text(ErrorCode::kData, [&] { (void)unpack_table(".parquet", nested_parquet(depth), "a", 64 << 20); }),
        StartsWith("a: "))
        << depth;
  }
}

// Rows, or one error; never a crash, and never more memory than the limit.
TEST_F(TableFile, SurvivesDamage) {
  std::mt19937 random(1);
  int refused = 0;
  int rounds = 0;
  for (const char* name : {"none.parquet", "delta.parquet", "kinds.parquet", "kinds.arrow", "stream.arrow"}) {
    const std::string whole = read_file(path(name));
    const std::string extension = path(name).extension();
    const auto open = [&](const std::string& bytes) {
      ++rounds;
      try {
        (void)unpack_table(extension, bytes, "a", 64 << 20);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kData) << error.what();
        ++refused;
      }
    };
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 100) open(whole.substr(0, size));
    for (int round = 0; round < 400; ++round) {
      std::string changed = whole;
      for (std::uint32_t i = 0; i < 1 + random() % 3; ++i) {
        changed[random() % changed.size()] = static_cast<char>(random());
      }
      open(changed);
    }
  }
  EXPECT_GT(refused, rounds / 10);
}

}  // namespace
}  // namespace lowbit
