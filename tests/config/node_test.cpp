#include "lowbit/config/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "config_test_support.h"
#include "lowbit/base/random.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

using testing::config_error;
using ::testing::HasSubstr;

ConfigNode parse(std::string_view yaml) { return ConfigNode::parse(yaml, "x.yaml"); }

TEST(SourceMark, WritesFileLineAndColumn) {
  EXPECT_EQ((SourceMark{"configs/x.yaml", 3, 7}).text(), "configs/x.yaml:3:7");
  EXPECT_EQ((SourceMark{"configs/x.yaml", 0, 0}).text(), "configs/x.yaml");
  EXPECT_EQ(SourceMark{}.text(), "");
}

TEST(ConfigNode, EqualityIgnoresPlacesAndNeedlessQuotes) {
  EXPECT_EQ(parse("a: [1, x]\n"), parse("a:\n  - 1\n  - 'x'\n"));
  EXPECT_FALSE(parse("a: 1") == parse("a: '1'"));
  EXPECT_FALSE(parse("a: true") == parse("a: 'true'"));
  EXPECT_FALSE(parse("a: null") == parse("a: 'null'"));
  EXPECT_FALSE(parse("[a, b]") == parse("[b, a]"));
  EXPECT_FALSE(parse("[a]") == parse("[a, a]"));
  EXPECT_FALSE(parse("{a: 1}") == parse("{a: 1, b: 1}"));
}

TEST(ConfigNodeWith, ReplacesValuesInMapsAndLists) {
  const ConfigNode node = parse("recipes: {gptq: [{gptq: {bits: 4, group: 64}}, {x: {}}]}\nseeds: [0, 1]\n");
  const ConfigNode changed =
      node.with("recipes.gptq.0.gptq.bits", ConfigNode::scalar("3")).with("seeds.1", parse("[7]"));
  EXPECT_EQ(changed, parse("recipes: {gptq: [{gptq: {bits: 3, group: 64}}, {x: {}}]}\nseeds: [0, [7]]\n"));
  EXPECT_EQ(node, parse("recipes: {gptq: [{gptq: {bits: 4, group: 64}}, {x: {}}]}\nseeds: [0, 1]\n"));
}

TEST(ConfigNodeWith, MakesMissingMaps) {
  EXPECT_EQ(ConfigNode().with("a.b.c", ConfigNode::scalar("1")), parse("a: {b: {c: 1}}"));
  EXPECT_EQ(parse("a:\nd: 2\n").with("a.b", ConfigNode::scalar("1")), parse("a: {b: 1}\nd: 2\n"));
}

TEST(ConfigNodeWith, NamesTheValueThatIsInTheWay) {
  const ConfigNode node = parse("a: {b: 4}\nl: [1, 2]\ne: []\n");
  const ConfigNode value = ConfigNode::scalar("1", {"--set", 1, 7});
  const auto problem = [&](const char* path) { return config_error([&] { (void)node.with(path, value); }); };
  EXPECT_EQ(problem("a.b.c"), "--set:1:7: cannot set 'a.b.c': 'a.b' is the value '4', expected a map or a list");
  EXPECT_EQ(problem("l.2"), "--set:1:7: cannot set 'l.2': 'l' is a list, so '2' must be an index, expected 0..1");
  EXPECT_EQ(problem("l.-1"), "--set:1:7: cannot set 'l.-1': 'l' is a list, so '-1' must be an index, expected 0..1");
  EXPECT_EQ(problem("l.x.y"), "--set:1:7: cannot set 'l.x.y': 'l' is a list, so 'x' must be an index, expected 0..1");
  EXPECT_EQ(problem("e.0"), "--set:1:7: cannot set 'e.0': 'e' is an empty list; give the whole list");
  EXPECT_THAT(problem("a..b"), HasSubstr("the path has an empty part"));
  EXPECT_THAT(problem(""), HasSubstr("the path has an empty part"));
  EXPECT_EQ(config_error([&] { (void)ConfigNode::scalar("x").with("a", ConfigNode::scalar("1")); }),
            "cannot set 'a': the whole file is the value 'x', expected a map or a list");
}

TEST(ConfigNodeWith, KeepsTheLimitOfTheDepth) {
  std::string path = "a";
  for (int i = 1; i < 63; ++i) path += ".a";
  EXPECT_EQ(parse(ConfigNode().with(path, parse("{}")).to_yaml()), ConfigNode().with(path, parse("{}")));
  EXPECT_THAT(config_error([&] { (void)ConfigNode().with(path, parse("[[]]")); }),
              HasSubstr("the result would have more than 64 nested levels"));
}

TEST(ConfigToYaml, WritesBlockStyle) {
  EXPECT_EQ(parse("{a: 1, b: [x, {c: 2, d: []}, [u, v]], e: {f: {}}, g: ~, h: 'two words'}").to_yaml(),
            "a: 1\n"
            "b:\n"
            "  - x\n"
            "  - c: 2\n"
            "    d: []\n"
            "  - - u\n"
            "    - v\n"
            "e:\n"
            "  f: {}\n"
            "g: null\n"
            "h: two words\n");
  EXPECT_EQ(ConfigNode().to_yaml(), "null\n");
  EXPECT_EQ(parse("[]").to_yaml(), "[]\n");
  EXPECT_EQ(ConfigNode::scalar("x").to_yaml(), "x\n");
}

TEST(ConfigToYaml, QuotesTextsThatWouldBeReadAsSomethingElse) {
  for (const char* text :
       {"4", "-1.5e3", "0x1F", "true", "FALSE", "null", "~", "", ".inf", "-.INF", ".nan", "0o7", "1."}) {
    const ConfigNode read = parse(ConfigNode::string(text).to_yaml());
    ASSERT_TRUE(read.is_scalar()) << text;
    EXPECT_TRUE(read.quoted()) << text;
    EXPECT_EQ(read.text(), text);
  }
  EXPECT_EQ(ConfigNode::scalar("4").to_yaml(), "4\n");
  EXPECT_EQ(ConfigNode::string("4").to_yaml(), "\"4\"\n");
  EXPECT_EQ(ConfigNode::string("yes").to_yaml(), "\"yes\"\n");  // a boolean for YAML 1.1
}

TEST(ConfigToYaml, KeepsTextsOfSpecialCharacters) {
  const std::vector<std::string> texts = {" a",
                                          "a ",
                                          "a: b",
                                          "a:",
                                          ":a",
                                          "a #b",
                                          "#a",
                                          "- a",
                                          "-",
                                          "--- a",
                                          "---",
                                          "...",
                                          "? a",
                                          "&a",
                                          "*a",
                                          "!a",
                                          "|",
                                          ">",
                                          "%a",
                                          "@a",
                                          "`a",
                                          "'a'",
                                          "\"a\"",
                                          "[a]",
                                          "{a}",
                                          "a,b",
                                          "a\nb\n",
                                          "\n",
                                          "\t",
                                          "a\\nb",
                                          "a\rb",
                                          "<<",
                                          "hf:org/name",
                                          "a  b",
                                          "=",
                                          "über",
                                          "日本語",
                                          "\xC2\x85",
                                          "\xE2\x80\xA8",
                                          "\xEF\xBB\xBF",
                                          "\xEF\xBF\xBF",
                                          "\x01\x7F",
                                          std::string(1, '\0'),
                                          std::string(5000, 'k'),
                                          "Question: {q}\nAnswer:"};
  for (const std::string& text : texts) {
    for (const ConfigNode& scalar : {ConfigNode::scalar(text), ConfigNode::string(text)}) {
      const ConfigNode tree = ConfigNode::map({{ConfigNode::string(text), ConfigNode::sequence({scalar, scalar})}});
      EXPECT_EQ(parse(tree.to_yaml()), tree) << tree.to_yaml();
      EXPECT_EQ(parse(scalar.to_yaml()), scalar) << scalar.to_yaml();
    }
  }
}

TEST(ConfigToYaml, KeepsEveryCodePoint) {
  // Many in one scalar, so that YAML's rules for characters in the middle of a line apply too; in lists that stay below
  // the limit of a text's size.
  std::vector<ConfigNode> items;
  std::string text;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c < 0xD800 || c > 0xDFFF) append_utf8(text, c);
    if (c % 64 == 63) items.push_back(ConfigNode::scalar(std::exchange(text, "")));
    if (c % 0x10000 != 0xFFFF) continue;
    const ConfigNode tree = ConfigNode::sequence(std::exchange(items, {}));
    EXPECT_TRUE(parse(tree.to_yaml()) == tree) << "up to " << static_cast<std::uint32_t>(c);
  }
}

// A random tree over a small, nasty alphabet.
ConfigNode random_tree(const Random& random, std::uint64_t& draw, int depth) {
  static constexpr std::string_view kAlphabet = "ab01 -:#,[]{}'\"\\\n\t&*!|>%@?~.e+";
  const auto below = [&](std::uint64_t bound) { return random.below(draw++, bound); };
  const auto text = [&] {
    std::string out;
    for (std::uint64_t i = below(5); i > 0; --i) out += kAlphabet[below(kAlphabet.size())];
    return out;
  };
  const std::uint64_t kind = below(depth > 3 ? 3 : 6);
  if (kind == 0) return {};
  if (kind < 3) return kind == 1 ? ConfigNode::string(text()) : ConfigNode::scalar(text());
  std::vector<ConfigNode> items;
  std::vector<ConfigNode::Entry> entries;
  for (std::uint64_t i = 0, n = below(4); i < n; ++i) {
    const ConfigNode value = random_tree(random, draw, depth + 1);
    entries.push_back({ConfigNode::scalar(std::to_string(i) + text()), value});
    items.push_back(value);
  }
  return kind < 5 ? ConfigNode::map(std::move(entries)) : ConfigNode::sequence(std::move(items));
}

TEST(ConfigToYaml, ParsesBackToRandomTrees) {
  const Random random(1, "config/to_yaml");
  std::uint64_t draw = 0;
  for (int i = 0; i < 5000; ++i) {
    const ConfigNode tree = random_tree(random, draw, 0);
    ASSERT_EQ(parse(tree.to_yaml()), tree) << tree.to_yaml();
  }
}

TEST(ConfigToYaml, RefusesTextsThatAreNotUtf8) {
  EXPECT_EQ(config_error([] { (void)ConfigNode::scalar("a\xFF").to_yaml(); }),
            "'a\xEF\xBF\xBD' is not UTF-8 and cannot be written as YAML");
}

TEST(ParseOverride, SplitsPathAndYaml) {
  const auto [path, value] = parse_override("recipes.gptq.0.gptq.bits=4");
  EXPECT_EQ(path, "recipes.gptq.0.gptq.bits");
  EXPECT_EQ(value, ConfigNode::scalar("4"));
  EXPECT_EQ(value.mark().text(), "--set:1:26");
  EXPECT_EQ(parse_override("a={b: [1, x=y]}").second, parse("{b: [1, x=y]}"));
  EXPECT_TRUE(parse_override("a=").second.is_null());
  EXPECT_EQ(parse_override("a= 'x: y'").second.mark().text(), "--set:1:4");
}

TEST(ParseOverride, ExplainsWhatIsExpected) {
  EXPECT_EQ(config_error([] { (void)parse_override("bits"); }),
            "--set 'bits': expected path=value, for example recipes.gptq.0.gptq.bits=4");
  for (const char* argument : {"=4", ".a=4", "a.=4", "a..b=4", ""}) {
    EXPECT_THAT(config_error([&] { (void)parse_override(argument); }), HasSubstr("expected path=value")) << argument;
  }
  EXPECT_EQ(config_error([] { (void)parse_override("größe=[1"); }),
            "--set:1:9: not valid YAML: a '[' is not closed, expected ',' or ']'");
}

TEST(NearestName, CountsASwapOfNeighboursAsOneStep) {
  EXPECT_EQ(nearest_name("rnt", {"gptq", "rtn"}), "rtn");
  EXPECT_EQ(nearest_name("gruop_size", {"bits", "group_size"}), "group_size");
  EXPECT_EQ(nearest_name("gptqq", {"gptaq", "gptq"}), "gptq");  // both one step away: the longer common beginning
  EXPECT_EQ(nearest_name("dampnig", {"damping", "dampening"}), "damping");
}

TEST(NearestName, AllowsAThirdOfTheLongerLength) {
  EXPECT_EQ(nearest_name("abcdef", {"abcdxy"}), "abcdxy");    // 2 of 6
  EXPECT_EQ(nearest_name("abcde", {"abcxy"}), std::nullopt);  // 2 of 5
  EXPECT_EQ(nearest_name("abc", {"abcdxy"}), std::nullopt);   // 3 of 6
  EXPECT_EQ(nearest_name("ab", {"ax"}), "ax");                // one step is always allowed
  EXPECT_EQ(nearest_name("a", {"x"}), std::nullopt);          // but not where nothing is left
  EXPECT_EQ(nearest_name("", {"x", ""}), std::nullopt);
  EXPECT_EQ(nearest_name("bits", {}), std::nullopt);
}

TEST(NearestName, IgnoresCaseAndPrefersTheNearest) {
  EXPECT_EQ(nearest_name("GPTQ", {"gptaq", "gptq"}), "gptq");
  EXPECT_EQ(nearest_name("gptt", {"gptaq", "gptq"}), "gptq");
}

TEST(NearestName, IsNeverTheContrary) {
  EXPECT_EQ(nearest_name("symmetric", {"asymmetric", "sym_offset"}), std::nullopt);
  EXPECT_EQ(nearest_name("Unsigned", {"signed"}), std::nullopt);
  EXPECT_EQ(nearest_name("asymetric", {"asymmetric"}), "asymmetric");
  EXPECT_EQ(nearest_name("wq", {"awq"}), "awq");  // too short to be a word of its own
}

TEST(NearestName, IsQuickForHugeWords) {
  EXPECT_EQ(nearest_name(std::string(std::size_t{1} << 24, 'a'), {"gptq", "rtn"}), std::nullopt);
}

TEST(Suggestion, OffersTheNearestOrListsTheKnown) {
  EXPECT_EQ(suggestion("rnt", {"gptq", "rtn"}), "; did you mean 'rtn'?");
  EXPECT_EQ(suggestion("zzzz", {"gptq", "rtn"}), "; known: 'gptq', 'rtn'");
  EXPECT_EQ(suggestion("x", {}), "");
  std::vector<std::string> many;
  for (int i = 0; i < 15; ++i) many.push_back("name" + std::to_string(i));
  EXPECT_THAT(suggestion("zzzz", many), HasSubstr("'name10', 'name11' and 3 more"));
}

TEST(ConfigProblems, AreThrownTogetherInTheOrderOfTheFile) {
  ConfigProblems problems;
  EXPECT_TRUE(problems.empty());
  problems.throw_if_any();
  problems.add({"x.yaml", 10, 1}, "third");
  problems.add({"--set", 1, 5}, "other file");
  problems.add({"x.yaml", 2, 9}, "second");
  problems.add({"x.yaml", 2, 3}, "first");
  problems.add({}, "without a place");
  EXPECT_EQ(problems.size(), 5U);
  EXPECT_EQ(config_error([&] { problems.throw_if_any(); }),
            "x.yaml:2:3: first\nx.yaml:2:9: second\nx.yaml:10:1: third\n--set:1:5: other file\nwithout a place");
}

TEST(ConfigProblems, SayTheSameOfOnePlaceOnce) {
  ConfigProblems problems;
  problems.add({"x.yaml", 1, 1}, "wrong");
  problems.add({"x.yaml", 1, 1}, "worse");
  problems.add({"x.yaml", 1, 1}, "wrong");
  problems.add({"x.yaml", 2, 1}, "wrong");
  EXPECT_EQ(config_error([&] { problems.throw_if_any(); }), "x.yaml:1:1: wrong\nx.yaml:1:1: worse\nx.yaml:2:1: wrong");
}

TEST(ConfigProblems, CountTheRestBeyondAHundred) {
  ConfigProblems problems;
  for (int i = 1; i <= 105; ++i) problems.add({"x.yaml", i, 1}, "wrong");
  EXPECT_THAT(config_error([&] { problems.throw_if_any(); }), HasSubstr("x.yaml:100:1: wrong\nand 5 more problems"));
}

}  // namespace
}  // namespace lowbit
