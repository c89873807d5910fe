#include "lowbit/config/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "config_test_support.h"

namespace lowbit {
namespace {

using testing::config_error;
using ::testing::HasSubstr;

enum class Axis { kRow, kColumn };

struct TestOptions {
  int bits = 4;
  std::int64_t count = -1;
  double alpha = 0.5;
  bool act_order = false;
  std::string name = "none";
  std::vector<std::string> layers;
  std::vector<std::int64_t> seeds = {0, 1};
  Axis axis = Axis::kRow;
  ConfigNode extra;

  void visit(FieldVisitor& v) {
    v.field("bits", bits, "weight width in bits", {2, 8});
    v.field("count", count, "how many");
    v.field("alpha", alpha, "strength", {0.0, 1.0});
    v.field("act_order", act_order, "columns by falling diagonal");
    v.field("name", name, "what it is called");
    v.field("layers", layers, "patterns of layer names");
    v.field("seeds", seeds, "seeds of the draws", {0});
    v.choice("axis", axis, {"row", "column"}, "what a scale covers");
    v.field("extra", extra, "decoded later");
  }
};

struct DatasetOptions {
  std::string dataset;
  int limit = 10;
  void visit(FieldVisitor& v) {
    v.required("dataset");
    v.field("dataset", dataset, "name of a dataset");
    v.field("limit", limit, "rows", {1});
  }
  void validate(ConfigProblems& problems, const SourceMark& mark) const {
    if (dataset == "c4" && limit > 5) problems.add(mark, "'limit' of c4 is 5 at most");
  }
};

template <typename Options = TestOptions>
Options decode(std::string_view yaml) {
  Options options;
  ConfigProblems problems;
  decode_fields(ConfigNode::parse(yaml, "x.yaml"), options, problems);
  problems.throw_if_any();
  return options;
}

template <typename Options = TestOptions>
std::string problem(std::string_view yaml) {
  return config_error([&] { (void)decode<Options>(yaml); });
}

TEST(FieldDecoder, ReadsEveryType) {
  const TestOptions options = decode(
      "bits: 0x3\ncount: -9223372036854775808\nalpha: 1e-3\nact_order: True\nname: 4\nlayers: [a, 'b', 3]\n"
      "seeds: [+7]\naxis: column\nextra: {x: [1]}\n");
  EXPECT_EQ(options.bits, 3);
  EXPECT_EQ(options.count, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(options.alpha, 1e-3);
  EXPECT_TRUE(options.act_order);
  EXPECT_EQ(options.name, "4");
  EXPECT_EQ(options.layers, (std::vector<std::string>{"a", "b", "3"}));
  EXPECT_EQ(options.seeds, std::vector<std::int64_t>{7});
  EXPECT_EQ(options.axis, Axis::kColumn);
  EXPECT_EQ(options.extra, ConfigNode::parse("{x: [1]}", ""));
}

TEST(FieldDecoder, KeepsDefaultsOfAbsentKeys) {
  for (const char* yaml : {"", "{}"}) {
    const TestOptions options = decode(yaml);
    EXPECT_EQ(options.bits, 4);
    EXPECT_EQ(options.seeds, (std::vector<std::int64_t>{0, 1}));
    EXPECT_EQ(options.axis, Axis::kRow);
  }
}

TEST(FieldDecoder, RefusesWhatIsNoWholeNumber) {
  EXPECT_EQ(problem("bits: four"), "x.yaml:1:7: 'bits' cannot be read as a whole number: 'four'");
  EXPECT_EQ(problem("bits: 4.5"), "x.yaml:1:7: 'bits' cannot be read as a whole number: '4.5'");
  EXPECT_EQ(problem("count: 1e3"), "x.yaml:1:8: 'count' cannot be read as a whole number: '1e3'; write 1000");
  EXPECT_EQ(problem("count: 1_000"), "x.yaml:1:8: 'count' cannot be read as a whole number: '1_000'; write 1000");
  EXPECT_EQ(problem("bits: '4'"), "x.yaml:1:7: 'bits' is the text '4', expected a whole number; remove the quotes");
  EXPECT_EQ(problem("bits:\n"), "x.yaml:1:1: 'bits' has no value, expected a whole number; give one or remove the key");
  EXPECT_EQ(problem("bits: [4]"), "x.yaml:1:7: 'bits' is a list, expected a whole number");
  EXPECT_EQ(problem("bits: {a: 4}"), "x.yaml:1:7: 'bits' is a map, expected a whole number");
  for (const char* text : {"0x", "-0x4", "0b1", "4 5", "--4", "+", "0o8", "4-", "\"\""}) {
    EXPECT_THAT(problem(std::string("bits: ") + text), HasSubstr("cannot be read as a whole number")) << text;
  }
}

TEST(FieldDecoder, RefusesNumbersOutOfRange) {
  EXPECT_EQ(problem("bits: 9"), "x.yaml:1:7: 'bits' is 9, expected 2..8");
  EXPECT_EQ(problem("bits: -1"), "x.yaml:1:7: 'bits' is -1, expected 2..8");
  EXPECT_EQ(problem("bits: 4294967300"), "x.yaml:1:7: 'bits' is 4294967300, expected 2..8");  // 2^32 + 4
  EXPECT_EQ(problem("bits: 99999999999999999999"), "x.yaml:1:7: 'bits' is 99999999999999999999, expected 2..8");
  EXPECT_EQ(problem("count: 9223372036854775808"),
            "x.yaml:1:8: 'count' is 9223372036854775808, expected -9223372036854775808..9223372036854775807");
  EXPECT_EQ(problem<DatasetOptions>("{dataset: c, limit: 0}"), "x.yaml:1:21: 'limit' is 0, expected at least 1");
  EXPECT_EQ(problem<DatasetOptions>("{dataset: c, limit: 2147483648}"),
            "x.yaml:1:21: 'limit' is 2147483648, expected 1..2147483647");
}

TEST(FieldDecoder, RefusesWhatIsNoFiniteNumber) {
  EXPECT_EQ(problem("alpha: high"), "x.yaml:1:8: 'alpha' cannot be read as a number: 'high'");
  EXPECT_EQ(problem("alpha: 0,5"), "x.yaml:1:8: 'alpha' cannot be read as a number: '0,5'; write 0.5");
  EXPECT_EQ(problem("alpha: .inf"), "x.yaml:1:8: 'alpha' is '.inf', expected a finite number");
  EXPECT_EQ(problem("alpha: .NaN"), "x.yaml:1:8: 'alpha' is '.NaN', expected a finite number");
  EXPECT_THAT(problem("alpha: nan"), HasSubstr("cannot be read as a number: 'nan'"));
  EXPECT_EQ(problem("alpha: 1e999"), "x.yaml:1:8: 'alpha' is '1e999', which a 64-bit float cannot hold");
  EXPECT_EQ(problem("alpha: 1.5"), "x.yaml:1:8: 'alpha' is 1.5, expected 0..1");
  EXPECT_EQ(problem("alpha: -0x1"), "x.yaml:1:8: 'alpha' cannot be read as a number: '-0x1'");
  EXPECT_EQ(problem("alpha: '1'"), "x.yaml:1:8: 'alpha' is the text '1', expected a number; remove the quotes");
  for (const char* text : {".", "1e", "e5", "1.e+", "1.2.3", "+-1"}) {
    EXPECT_THAT(problem(std::string("alpha: ") + text), HasSubstr("cannot be read as a number")) << text;
  }
}

TEST(FieldDecoder, ReadsTheRealNumbersOfYaml) {
  EXPECT_EQ(decode("alpha: 1").alpha, 1.0);
  EXPECT_EQ(decode("alpha: +.5").alpha, 0.5);
  EXPECT_EQ(decode("alpha: 1.").alpha, 1.0);
  EXPECT_EQ(decode("alpha: 0.1E+0").alpha, 0.1);
  EXPECT_EQ(decode("alpha: 0x1").alpha, 1.0);
}

TEST(FieldDecoder, TakesTrueAndFalseOnlyForBooleans) {
  EXPECT_EQ(problem("act_order: yes"),
            "x.yaml:1:12: 'act_order' is 'yes', which is a text in YAML 1.2, expected true or false; write true");
  EXPECT_EQ(problem("act_order: Off"),
            "x.yaml:1:12: 'act_order' is 'Off', which is a text in YAML 1.2, expected true or false; write false");
  EXPECT_EQ(problem("act_order: 1"), "x.yaml:1:12: 'act_order' cannot be read as true or false: '1'");
  EXPECT_EQ(problem("act_order: tRUE"), "x.yaml:1:12: 'act_order' cannot be read as true or false: 'tRUE'");
  EXPECT_EQ(problem("act_order: 'true'"),
            "x.yaml:1:12: 'act_order' is the text 'true', expected true or false; remove the quotes");
}

TEST(FieldDecoder, ExpectsListsWhereListsAreDue) {
  EXPECT_EQ(problem("layers: q_proj"),
            "x.yaml:1:9: 'layers' is the value 'q_proj', expected a list of texts; write [q_proj]");
  EXPECT_EQ(problem("seeds: 3"), "x.yaml:1:8: 'seeds' is the value '3', expected a list of whole numbers; write [3]");
  EXPECT_EQ(problem("seeds: {a: 1}"), "x.yaml:1:8: 'seeds' is a map, expected a list of whole numbers");
  EXPECT_EQ(problem("seeds:"), "x.yaml:1:1: 'seeds' is nothing, expected a list of whole numbers");
  EXPECT_EQ(problem("seeds: [1, two, -3]"),
            "x.yaml:1:12: 'seeds[1]' cannot be read as a whole number: 'two'\n"
            "x.yaml:1:17: 'seeds[2]' is -3, expected at least 0");
  EXPECT_EQ(problem("layers: [[a]]"), "x.yaml:1:10: 'layers[0]' is a list, expected a text");
}

TEST(FieldDecoder, NamesTheChoices) {
  EXPECT_EQ(problem("axis: colum"),
            "x.yaml:1:7: 'axis' is 'colum', expected one of 'row', 'column'; did you mean 'column'?");
  EXPECT_EQ(problem("axis: diagonal"), "x.yaml:1:7: 'axis' is 'diagonal', expected one of 'row', 'column'");
  EXPECT_EQ(problem("axis: [row]"), "x.yaml:1:7: 'axis' is a list, expected one of 'row', 'column'");
}

TEST(FieldDecoder, ReportsUnknownAndMissingKeys) {
  EXPECT_EQ(problem("bit: 4\nacto_rder: true\n"),
            "x.yaml:1:1: unknown key 'bit'; did you mean 'bits'?\n"
            "x.yaml:2:1: unknown key 'acto_rder'; did you mean 'act_order'?");
  EXPECT_EQ(problem<DatasetOptions>("\n- x\n"),
            "x.yaml:2:1: expected a map of options, got a list; write key: value pairs, or {}");
  EXPECT_EQ(problem<DatasetOptions>("gsm8k"),
            "x.yaml:1:1: expected a map of options, got the value 'gsm8k'; write key: value pairs, or {}");
  EXPECT_EQ(problem<DatasetOptions>("limit: 3"), "x.yaml:1:1: missing required key 'dataset'");
  EXPECT_EQ(problem<DatasetOptions>("zzz: 3"),
            "x.yaml:1:1: unknown key 'zzz'; known: 'dataset', 'limit'\nx.yaml:1:1: missing required key 'dataset'");
}

TEST(FieldDecoder, ReportsAMisspeltRequiredKeyOnce) {
  EXPECT_EQ(problem<DatasetOptions>("datset: gsm8k"), "x.yaml:1:1: unknown key 'datset'; did you mean 'dataset'?");
}

TEST(FieldDecoder, ReportsEveryProblemOfAMap) {
  EXPECT_EQ(problem("bits: four\ngroup: 3\nalpha: 2\n"),
            "x.yaml:1:7: 'bits' cannot be read as a whole number: 'four'\n"
            "x.yaml:2:1: unknown key 'group'; known: 'bits', 'count', 'alpha', 'act_order', 'name', 'layers', 'seeds', "
            "'axis', 'extra'\n"
            "x.yaml:3:8: 'alpha' is 2, expected 0..1");
}

TEST(FieldDecoder, ShowsHostileValuesOnOneShortLine) {
  EXPECT_EQ(problem("bits: \"a\\nb\\x01\""), "x.yaml:1:7: 'bits' cannot be read as a whole number: 'a\\nb\\x01'");
  EXPECT_EQ(problem("bits: " + std::string(1 << 19, 'x')),
            "x.yaml:1:7: 'bits' cannot be read as a whole number: '" + std::string(60, 'x') + "...'");
}

TEST(FieldDecoder, ValidatesRelationsOnlyOfValuesItCouldRead) {
  EXPECT_EQ(problem<DatasetOptions>("dataset: c4"), "x.yaml:1:1: 'limit' of c4 is 5 at most");
  EXPECT_EQ(problem<DatasetOptions>("{dataset: c4, limit: x}"),
            "x.yaml:1:22: 'limit' cannot be read as a whole number: 'x'");
}

TEST(FieldDescriber, ListsNamesTypesDefaultsAndHelp) {
  const std::vector<FieldDescription> fields = describe_fields<TestOptions>();
  std::string text;
  for (const FieldDescription& field : fields) {
    text += field.name + " | " + field.type + " | " + field.default_value + " | " + field.help + "\n";
  }
  EXPECT_EQ(text,
            "bits | integer 2..8 | 4 | weight width in bits\n"
            "count | integer | -1 | how many\n"
            "alpha | number 0..1 | 0.5 | strength\n"
            "act_order | true or false | false | columns by falling diagonal\n"
            "name | text | none | what it is called\n"
            "layers | list of texts | [] | patterns of layer names\n"
            "seeds | list of integers, at least 0 | [0, 1] | seeds of the draws\n"
            "axis | one of row, column | row | what a scale covers\n"
            "extra | any YAML | null | decoded later\n");
}

TEST(FieldDescriber, MarksRequiredFields) {
  const std::vector<FieldDescription> fields = describe_fields<DatasetOptions>();
  ASSERT_EQ(fields.size(), 2U);
  EXPECT_TRUE(fields[0].required);
  EXPECT_EQ(fields[0].default_value, "");
  EXPECT_FALSE(fields[1].required);
  EXPECT_EQ(fields[1].type, "integer, at least 1");
}

TEST(FieldEcho, FillsDefaultsIn) {
  EXPECT_EQ(echo_fields(decode("{bits: 3, layers: [q]}")).to_yaml(),
            "bits: 3\ncount: -1\nalpha: 0.5\nact_order: false\nname: none\nlayers:\n  - q\nseeds:\n  - 0\n  - 1\n"
            "axis: row\nextra: null\n");
}

TEST(FieldEcho, DecodesToTheSameOptions) {
  TestOptions options;
  options.bits = 2;
  options.count = std::numeric_limits<std::int64_t>::max();
  options.alpha = 0.1 + 0.2;  // needs all 17 digits
  options.act_order = true;
  options.layers = {"", "null", "4", "true", "a: b", "line\nbreak", " x "};
  options.seeds = {};
  options.axis = Axis::kColumn;
  options.extra = ConfigNode::parse("{x: ['4', 4, ~]}", "");
  for (const std::string& name : {std::string("yes"), std::string(), std::string("~"), std::string("é: \"q\"\\")}) {
    options.name = name;
    const TestOptions again = decode(echo_fields(options).to_yaml());
    EXPECT_EQ(again.bits, options.bits);
    EXPECT_EQ(again.count, options.count);
    EXPECT_EQ(again.alpha, options.alpha);
    EXPECT_EQ(again.act_order, options.act_order);
    EXPECT_EQ(again.name, options.name);
    EXPECT_EQ(again.layers, options.layers);
    EXPECT_EQ(again.seeds, options.seeds);
    EXPECT_EQ(again.axis, options.axis);
    EXPECT_EQ(again.extra, options.extra);
    EXPECT_EQ(echo_fields(again), echo_fields(options));
  }
}

TEST(FieldEcho, KeepsSmallAndLargeReals) {
  struct Wide {
    double value = 0;
    void visit(FieldVisitor& v) { v.field("value", value, ""); }
  };
  for (const double value : {0.0, -0.0, 1.0, 1e-5, 1e22, 1.7976931348623157e308, 2.2250738585072014e-308, 5e-324}) {
    Wide wide;
    wide.value = value;
    const double again = decode<Wide>(echo_fields(wide).to_yaml()).value;
    EXPECT_EQ(again, value);
    EXPECT_EQ(std::signbit(again), std::signbit(value));
  }
}

}  // namespace
}  // namespace lowbit
