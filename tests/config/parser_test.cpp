#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "config_test_support.h"
#include "lowbit/config/node.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::config_error;
using ::testing::HasSubstr;

std::string problem(std::string_view yaml) {
  return config_error([&] { return ConfigNode::parse(yaml, "x.yaml"); });
}

std::string place(const ConfigNode& node) { return node.mark().text(); }

TEST(ConfigParser, KeepsKindsTextsAndQuotes) {
  const ConfigNode node =
      ConfigNode::parse("a: 4\nb: '4'\nc: [x, \"y\", ~]\nd:\n  e: |\n    two\n    lines\nf:\n", "x.yaml");
  ASSERT_TRUE(node.is_map());
  ASSERT_EQ(node.entries().size(), 5U);
  EXPECT_EQ(node.find("a")->text(), "4");
  EXPECT_FALSE(node.find("a")->quoted());
  EXPECT_EQ(node.find("b")->text(), "4");
  EXPECT_TRUE(node.find("b")->quoted());
  ASSERT_EQ(node.find("c")->items().size(), 3U);
  EXPECT_TRUE(node.find("c")->items()[1].quoted());
  EXPECT_TRUE(node.find("c")->items()[2].is_null());
  EXPECT_EQ(node.find("d")->find("e")->text(), "two\nlines\n");
  EXPECT_TRUE(node.find("d")->find("e")->quoted());
  EXPECT_TRUE(node.find("f")->is_null());
  EXPECT_EQ(node.find("g"), nullptr);
}

TEST(ConfigParser, TakesAnEmptyTextOrOneOfCommentsForNull) {
  EXPECT_TRUE(ConfigNode::parse("", "x.yaml").is_null());
  EXPECT_TRUE(ConfigNode::parse("# nothing\n\n", "x.yaml").is_null());
  EXPECT_TRUE(ConfigNode::parse("---\n...\n", "x.yaml").is_null());
  EXPECT_EQ(place(ConfigNode::parse("", "x.yaml")), "x.yaml:1:1");
}

TEST(ConfigParser, CountsLinesAndCharactersFromOne) {
  const ConfigNode node = ConfigNode::parse("a: 1\nb:\n  - größe: {x: 2}\r\n    k: v\n", "x.yaml");
  EXPECT_EQ(place(node), "x.yaml:1:1");
  EXPECT_EQ(place(node.entries()[1].key), "x.yaml:2:1");
  const ConfigNode& item = node.find("b")->items()[0];
  EXPECT_EQ(place(item.entries()[0].key), "x.yaml:3:5");
  EXPECT_EQ(place(*item.find("größe")), "x.yaml:3:12");
  EXPECT_EQ(place(*item.find("größe")->find("x")), "x.yaml:3:16");
  EXPECT_EQ(place(*item.find("k")), "x.yaml:4:8");
}

TEST(ConfigParser, NeedsNoLastLineBreak) {
  for (const char* yaml : {"a: |\n  x", "a: b", "a:", "a: 'x'", "- - a", "a: {b: 1}", "a: # x"}) {
    EXPECT_EQ(ConfigNode::parse(yaml, "x.yaml"), ConfigNode::parse(std::string(yaml) + "\n", "x.yaml")) << yaml;
  }
}

TEST(ConfigParser, IgnoresAByteOrderMark) {
  const ConfigNode node = ConfigNode::parse(
      "\xEF\xBB\xBF"
      "a: 1\n",
      "x.yaml");
  EXPECT_EQ(place(*node.find("a")), "x.yaml:1:4");
}

TEST(ConfigParser, PlacesAValueLeftOutAtItsKey) {
  const ConfigNode node = ConfigNode::parse("a:\n\n\nb: null\nc: {d, e: ~}\nnullable:\nnull_model: 1\n", "x.yaml");
  EXPECT_EQ(place(*node.find("a")), "x.yaml:1:1");
  EXPECT_EQ(place(*node.find("b")), "x.yaml:4:4");
  EXPECT_EQ(place(*node.find("c")->find("d")), "x.yaml:5:5");
  EXPECT_EQ(place(*node.find("c")->find("e")), "x.yaml:5:11");
  EXPECT_EQ(place(*node.find("nullable")), "x.yaml:6:1");
}

TEST(ConfigParser, NamesBothPlacesOfADuplicateKey) {
  EXPECT_EQ(problem("bits: 4\ngroup: 64\nbits: 8\n"),
            "x.yaml:3:1: duplicate key 'bits'; it stands at x.yaml:1:1 already");
  EXPECT_EQ(problem("a: {b: 1, 'b': 2}\n"), "x.yaml:1:11: duplicate key 'b'; it stands at x.yaml:1:5 already");
}

TEST(ConfigParser, ReportsAllDuplicatesAndTagsAtOnce) {
  EXPECT_EQ(problem("a: !!int 3\nb: 1\nb: 2\nc: !mine {}\n"),
            "x.yaml:1:4: the tag '!!int' is not supported; remove it\n"
            "x.yaml:3:1: duplicate key 'b'; it stands at x.yaml:2:1 already\n"
            "x.yaml:4:4: the tag '!mine' is not supported; remove it");
}

TEST(ConfigParser, RefusesEveryFormOfTag) {
  EXPECT_EQ(problem("a: ! 'x'\n"), "x.yaml:1:4: the tag '!' is not supported; remove it");
  EXPECT_EQ(problem("a: &k !!str\n"), "x.yaml:1:4: the tag '!!str' is not supported; remove it");
  EXPECT_EQ(problem("a: [!<tag:x.org,2000:y> b]\n"), "x.yaml:1:5: the tag '!<tag:x.org' is not supported; remove it");
  EXPECT_EQ(problem("! [a]\n"), "x.yaml:1:1: the tag '!' is not supported; remove it");
  EXPECT_EQ(problem("a: '!not a tag'\nb: &k \"!nor this\"\n"), "");
}

TEST(ConfigParser, RefusesKeysThatAreNoScalars) {
  EXPECT_EQ(problem("? [a, b]\n: 1\n"), "x.yaml:1:3: a list cannot be a key, expected a name");
  EXPECT_EQ(problem("{{a: 1}: 2}\n"), "x.yaml:1:2: a map cannot be a key, expected a name");
  EXPECT_EQ(problem("~: 1\n"), "x.yaml:1:1: a key is missing or null, expected a name before ':'");
}

TEST(ConfigParser, ExplainsThatMergeKeysAreNotSupported) {
  EXPECT_EQ(problem("base: &b {x: 1}\nmore:\n  <<: *b\n"),
            "x.yaml:3:3: the merge key '<<' is not part of YAML 1.2; repeat the keys here");
  EXPECT_EQ(problem("'<<': 1\n"), "");
}

TEST(ConfigParser, RefusesASecondDocument) {
  EXPECT_EQ(problem("a: 1\n---\nb: 2\n"), "x.yaml:2:1: a second document starts here; expected one document a file");
  EXPECT_THAT(problem("a: 1\n}\n"), HasSubstr("x.yaml:2:1: "));
  EXPECT_EQ(problem("--- \na: 1\n...\n"), "");
}

TEST(ConfigParser, ExplainsSyntaxErrors) {
  EXPECT_EQ(
      problem("a: b: c\n"),
      "x.yaml:1:5: not valid YAML: a ':' stands where no value can start; put a text that contains ': ' in quotes");
  EXPECT_THAT(problem("a: [1, 2\nb: 3\n"), HasSubstr("not valid YAML: "));
  EXPECT_THAT(problem("a: [1, 2\n"), HasSubstr("a '[' is not closed, expected ',' or ']'"));
  EXPECT_THAT(problem("a: {b: 1\n"), HasSubstr("a '{' is not closed, expected ',' or '}'"));
  EXPECT_EQ(problem("a: 'open''\n"), "x.yaml:1:4: not valid YAML: a text in quotes is not closed");
  EXPECT_EQ(problem("a: \"open\\\"\n"), "x.yaml:1:4: not valid YAML: a text in quotes is not closed");
  EXPECT_EQ(problem("a: &x  # y\n  'open\n"), "x.yaml:1:4: not valid YAML: a text in quotes is not closed");
  EXPECT_THAT(problem("a: \"open"), HasSubstr("not valid YAML: a text in quotes is not closed"));
  EXPECT_THAT(problem("a: *gone\n"),
              HasSubstr("x.yaml:1:4: not valid YAML: an alias names an anchor that is not defined"));
  EXPECT_THAT(problem("a: @x\n"), HasSubstr("this character cannot start a value; put the text in quotes"));
  EXPECT_THAT(problem("a: \"\\q\"\n"), HasSubstr("write a backslash as \\\\"));
}

TEST(ConfigParser, RefusesALastLineWithoutColon) {
  EXPECT_EQ(problem("a: 1\nb:2\n"), "x.yaml:2:1: expected ': ' behind the key 'b:2'");
  EXPECT_EQ(problem("a:\n  b:\n  foo\n"), "x.yaml:3:3: expected ': ' behind the key 'foo'");
  EXPECT_EQ(problem("a:\n  b:\nfoo"), "x.yaml:3:1: expected ': ' behind the key 'foo'");
  EXPECT_EQ(problem("a: {b, c}\nd: [e: , f]\n? g\n? h\n:\n*k : &k\n"),
            "x.yaml:6:1: not valid YAML: an alias names an anchor that is not defined above it");
  EXPECT_EQ(problem("a: {b, &x c}\nd: [e: , f]\n? g\n? h\n:\n*x :\ni:"), "");
  for (const char* end : {":", ": ", ": # x", ":\n", ": &x"})
    EXPECT_EQ(problem(std::string("a: 1\nb") + end), "") << end;
}

TEST(ConfigParser, RefusesDirectivesBesidesTheVersion) {
  EXPECT_EQ(problem("%YAML 1.2\n---\na: 1\n"), "");
  EXPECT_EQ(problem("# x\n\n%bits: 4\n"), "x.yaml:3:1: a line that begins with '%'; expected a key, or %YAML 1.2");
  EXPECT_EQ(problem("a: |\n  x\n  %y\nb: 1%\n"), "");
}

TEST(ConfigParser, NamesThePlaceOfIllFormedUtf8) {
  EXPECT_EQ(problem("a: 1\nbé: caf\xE9\n"), "x.yaml:2:8: invalid UTF-8 (byte 0xe9); save the file as UTF-8");
  EXPECT_EQ(problem("\xFF\xFE"
                    "a"),
            "x.yaml:1:1: invalid UTF-8 (byte 0xff); save the file as UTF-8");
}

TEST(ConfigParser, RefusesControlCharacters) {
  EXPECT_EQ(problem(std::string("a: b\0c\n", 7)),
            "x.yaml:1:5: control character 0x00; write it as \"\\x00\" in double quotes");
  EXPECT_EQ(ConfigNode::parse("a: \"b\\x00c\"\n", "x.yaml").find("a")->text(), std::string("b\0c", 3));
}

TEST(ConfigParser, LimitsDepthTo64Levels) {
  EXPECT_EQ(problem(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(problem(std::string(65, '[') + std::string(65, ']')), "x.yaml:1:65: more than 64 nested levels");
  std::string maps;
  for (int i = 0; i < 65; ++i) maps += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  EXPECT_EQ(problem(maps), "x.yaml:65:65: more than 64 nested levels");
}

TEST(ConfigParser, CountsTheDepthBehindAliases) {
  const std::string deep = "a: &d " + std::string(40, '[') + std::string(40, ']');
  EXPECT_EQ(problem(deep + "\nb: *d\n"), "");
  EXPECT_EQ(problem(deep + "\nb: " + std::string(30, '[') + "*d" + std::string(30, ']')),
            "x.yaml:2:34: more than 64 nested levels, aliases counted");
}

TEST(ConfigParser, SharesAliasedValues) {
  const ConfigNode node = ConfigNode::parse("a: &x {b: 1}\nc: *x\n&k key: 5\nother: *k\n", "x.yaml");
  EXPECT_EQ(*node.find("a"), *node.find("c"));
  EXPECT_EQ(place(*node.find("c")->find("b")), "x.yaml:1:11");
  EXPECT_EQ(node.find("other")->text(), "key");
}

TEST(ConfigParser, RefusesAnAliasToItsOwnAncestor) {
  EXPECT_EQ(problem("a: &x [1, *x]\n"), "x.yaml:1:11: alias to a value that contains it");
}

TEST(ConfigParser, RefusesAliasBombs) {
  // Nine levels of nine aliases would be 9^9 values.
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) bomb += (j == 0 ? "" : ", ") + alias;
    bomb += "]\n";
  }
  EXPECT_THAT(problem(bomb), HasSubstr("more than 100000 values, aliases expanded"));
}

TEST(ConfigParser, LimitsTheNumberOfValues) {
  std::string list;
  for (int i = 0; i < 99'999; ++i) list += "- x\n";  // and the list itself
  EXPECT_EQ(problem(list), "");
  EXPECT_EQ(problem(list + "- x\n"), "x.yaml:100000:3: more than 100000 values, aliases expanded");
}

TEST(ConfigParser, LimitsTheSizeToOneMiB) {
  const std::string text((std::size_t{1} << 20) + 1, '#');
  EXPECT_EQ(problem(text), "x.yaml: has 1048577 bytes, expected at most 1048576");
}

TEST(ConfigParser, RefusesHugeHostileTextsQuickly) {
  // Each is cheap to write and was chosen to make a careless scanner look ahead or recurse without a bound.
  for (const std::string& unit : {std::string("["), std::string("{"), std::string("- "), std::string("? "),
                                  std::string("[a: "), std::string("&a "), std::string("a:\n"), std::string("\"")}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    EXPECT_NE(problem(text), "") << unit;
  }
}

TEST(ConfigLoad, NamesAMissingFile) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder / "none.yaml").string();
  EXPECT_EQ(config_error([&] { return ConfigNode::load(path); }),
            "cannot open '" + path + "': No such file or directory");
}

TEST(ConfigLoad, MarksValuesWithThePath) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder / "x.yaml").string();
  std::ofstream(path) << "a: 1\n";
  EXPECT_EQ(place(*ConfigNode::load(path).find("a")), path + ":1:4");
}

TEST(ConfigLoad, RefusesAFileOverOneMiBWithoutReadingIt) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder / "x.yaml").string();
  std::ofstream(path).close();
  std::filesystem::resize_file(path, std::uint64_t{1} << 40);
  EXPECT_EQ(config_error([&] { return ConfigNode::load(path); }),
            "'" + path + "' has 1.0 TiB, expected at most 1.0 MiB");
}

}  // namespace
}  // namespace lowbit
