#include "data/templates/template.h"

#include <gmock/gmock.h>

#include "data/templates/filters.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;

const SourceMark kMark{.file = "t.yaml", .line = 3, .column = 5};

std::string render(std::string_view text, const Json& row) {
  ConfigProblems problems;
  const Template parsed = parse_template(text, kMark, problems);
  problems.throw_if_any();
  return parsed.render(TemplateScope(row));
}

std::string mistake(std::string_view text) {
  return error_text(ErrorCode::kConfig, [&] { (void)render(text, Json::object()); });
}
std::string refusal(std::string_view text, const Json& row) {
  return error_text(ErrorCode::kData, [&] { (void)render(text, row); });
}

TEST(Template, PutsColumnsIntoItsText) {
  EXPECT_EQ(render("Q: {q}\nA:", {{"q", "why?"}}), "Q: why?\nA:");
  EXPECT_EQ(render("{{{n}}}", {{"n", 7}}), "{7}");
  EXPECT_EQ(render("{a.b[1].c}", {{"a", {{"b", {1, {{"c", "deep"}}}}}}}), "deep");
  EXPECT_EQ(render("{`Best Answer`}", {{"Best Answer", "x"}}), "x");
  EXPECT_EQ(render("{问题}", {{"问题", "好"}}), "好");
  EXPECT_EQ(render("{\"}\"}{'\\n'}", Json::object()), "}\n");
}

TEST(Template, BranchesOnConditions) {
  const std::string_view text = "{if passage}P: {passage}{else}none{end}.";
  EXPECT_EQ(render(text, {{"passage", "x"}}), "P: x.");
  for (const Json& nothing : {Json(""), Json(nullptr), Json::array(), Json(0), Json(false)}) {
    EXPECT_EQ(render(text, {{"passage", nothing}}), "none.") << nothing.dump();
  }
  EXPECT_EQ(render(text, Json::object()), "none.");
  EXPECT_EQ(render("{if a == 'x' and not b}yes{end}", {{"a", "x"}}), "yes");
  EXPECT_EQ(render("{if a != 3}yes{else}no{end}", {{"a", 3}}), "no");
  EXPECT_EQ(render("{if label | size == 1}one{end}", {{"label", "A"}}), "one");
  EXPECT_EQ(render("{if a in list and not b in list}yes{end}", {{"a", 2}, {"b", "x"}, {"list", {"1", 2}}}), "yes");
  EXPECT_EQ(render("{if a | lower in 'my his' | split(' ')}yes{else}no{end}", {{"a", "Hi"}}), "no");
}

TEST(Template, LoopsOverLists) {
  const Json row = {{"options", {"red", "blue"}}, {"sign", ")"}};
  EXPECT_EQ(render("{for o in options}{letter}{sign} {o}{if not last}, {end}{end}", row), "A) red, B) blue");
  EXPECT_EQ(render("{for o in options}{index}{number}{end}", row), "0112");
  EXPECT_EQ(render("{for x in list}{for y in x}{y}{end};{end}", {{"list", {{"a", "b"}, {"c"}}}}), "ab;c;");
  EXPECT_EQ(render("{for o in options}{o}={signs[index]}{end}", {{"options", {"a", "b"}}, {"signs", {1, "2"}}}),
            "a=1b=2");
}

TEST(Template, TakesFilterArgumentsFromTheRow) {
  const Json row = {{"text", "¿Qué? sí"}, {"at", 4}, {"mark", "? "}};
  EXPECT_EQ(render("{text | to(at)}|{text | from(at)}|{text | after(mark)}", row), "¿Qué|? sí|sí");
}

struct FilterCase {
  const char* expression;
  Json value;
  const char* expected;
};
void PrintTo(const FilterCase& c, std::ostream* out) { *out << c.expression; }
class TemplateFilter : public ::testing::TestWithParam<FilterCase> {};
TEST_P(TemplateFilter, DoesWhatPythonDoes) {
  EXPECT_EQ(render(std::string("{x | ") + GetParam().expression + "}", {{"x", GetParam().value}}), GetParam().expected);
}
INSTANTIATE_TEST_SUITE_P(
    All, TemplateFilter,
    ::testing::Values(
        FilterCase{"trim", " \n\u3000a b\u00a0\x1f", "a b"}, FilterCase{"trim_start", "  a ", "a "},
        FilterCase{"trim_end", "  a ", "  a"}, FilterCase{"lower", "ÀB", "àb"},
        FilterCase{"capitalize", "hELLO World", "Hello world"}, FilterCase{"capitalize", "", ""},
        FilterCase{"lower_first", "The Toilet", "the Toilet"}, FilterCase{"replace(\"  \", \" \")", "a    b", "a  b"},
        FilterCase{"without_brackets", "[header] a [x]b [open", " a b [open"},
        FilterCase{"without_brackets", "[a\n] [b]c", "[a\n] c"}, FilterCase{"without_prefix('Q: ')", "Q: Q: x", "Q: x"},
        FilterCase{"without_suffix('.')", "a..", "a."}, FilterCase{"before('_')", "a_b_c", "a"},
        FilterCase{"after('_')", "a_b_c", "b_c"}, FilterCase{"before_last('_')", "a_b_c", "a_b"},
        FilterCase{"after_last('_')", "a_b_c", "c"}, FilterCase{"before('?')", "abc", "abc"},
        FilterCase{"after('?')", "abc", ""}, FilterCase{"split(';') | join('|')", "a;b;;c", "a|b||c"},
        FilterCase{"first", {"a", "b"}, "a"}, FilterCase{"last", {"a", "b"}, "b"},
        FilterCase{"from(1) | join('')", {"a", "b", "c"}, "bc"}, FilterCase{"to(2) | join('')", {"a", "b", "c"}, "ab"},
        FilterCase{"from(1)", "好a", "a"}, FilterCase{"to(1)", "好a", "好"}, FilterCase{"to(9)", "好a", "好a"},
        FilterCase{"from(9)", "好a", ""}, FilterCase{"single_blanks", "  a \t b\n\n", " a b\n\n"},
        FilterCase{"sum_above('5.5')", {2.5, 3.0}, "false"}, FilterCase{"sum_above('5.5')", {2.5, "3.01"}, "true"},
        FilterCase{"size", {"a", "b"}, "2"}, FilterCase{"size", "好的", "2"}));

TEST(Template, SaysWhatARowLacks) {
  EXPECT_EQ(refusal("{goal}", {{"gaol", 1}}), "the row has no column 'goal'; did you mean 'gaol'?");
  EXPECT_EQ(refusal("{a.b}", {{"a", {{"c", 1}}}}), "the row has no 'a.b'");
  EXPECT_EQ(refusal("{a[2]}", {{"a", {1}}}), "the row has no 'a[2]'");
  EXPECT_EQ(refusal("{a}", {{"a", nullptr}}), "'a' is null, expected a text or a number");
  EXPECT_EQ(refusal("{a}", {{"a", {1}}}), "'a' is an array, expected a text or a number");
  EXPECT_EQ(refusal("{a | trim}", {{"a", 1}}), "'a' is number, and the filter 'trim' takes a text");
  EXPECT_EQ(refusal("{a | last}", {{"a", Json::array()}}),
            "'a' is an empty list, and the filter 'last' takes a list with items");
  EXPECT_EQ(refusal("{a | sum_above('1')}", {{"a", {"1x"}}}),
            "'a' is a list with items that are no numbers, and the filter 'sum_above' takes a list of numbers");
  EXPECT_EQ(refusal("{a | sum_above('x')}", {{"a", {1}}}), "the filter 'sum_above' takes a number, not 'x'");
  EXPECT_EQ(refusal("{for x in a}{x}{end}", {{"a", "b"}}), "'a' is string, expected a list");
  EXPECT_EQ(refusal("{if a in b}x{end}", {{"a", "b"}, {"b", "b"}}), "'b' is string, expected a list");
  EXPECT_EQ(refusal("{a[n]}", {{"a", {1}}, {"n", 1}}), "the row has no 'a[n]'");
  EXPECT_EQ(refusal("{a[n]}", {{"a", {1}}, {"n", "0"}}), "'n' between '[' and ']' is \"0\", expected a number from 0");
  EXPECT_EQ(refusal("{a[n]}", {{"a", {1}}, {"n", -1}}), "'n' between '[' and ']' is -1, expected a number from 0");
  EXPECT_EQ(refusal("{a[m]}", {{"a", {1}}, {"n", 0}}), "the row has no column 'm'; known: 'a', 'n'");
  EXPECT_EQ(refusal("{a | before(bb)}", {{"a", "x"}, {"b", "y"}}), "the row has no column 'bb'; did you mean 'b'?");
  EXPECT_EQ(refusal("{a | to(b)}", {{"a", "x"}, {"b", "y"}}), "the filter 'to' takes a number from 0, not 'y'");
  EXPECT_EQ(refusal("{a | from('-1')}", {{"a", {1}}}), "the filter 'from' takes a number from 0, not '-1'");
}

TEST(Template, BoundsItsOutput) {
  const std::string long_text(1 << 20, 'x');
  EXPECT_THAT(refusal("{for i in list}{text}{end}", {{"list", {1, 2, 3, 4, 5}}, {"text", long_text}}),
              HasSubstr("the template writes more than 4194304 bytes"));
}

TEST(Template, PlacesItsMistakes) {
  EXPECT_EQ(mistake("a\n  {b"), "t.yaml:3:5: template, line 2, column 3: '{' is never closed; a brace itself is '{{'");
  EXPECT_EQ(mistake("ab}"), "t.yaml:3:5: template, line 1, column 3: '}' closes nothing; a brace itself is '}}'");
  EXPECT_THAT(mistake("{if a}x"), HasSubstr("line 1, column 1: '{if ...}' or '{for ...}' without its '{end}'"));
  EXPECT_THAT(mistake("x{end}"), HasSubstr("column 2: '{end}' closes nothing"));
  EXPECT_THAT(mistake("{if a}x{else}y{else}z{end}"), HasSubstr("column 15: a second '{else}'"));
  EXPECT_THAT(mistake("{for a in b}x{else}y{end}"), HasSubstr("'{else}' belongs to '{if ...}'"));
  EXPECT_THAT(mistake("{for a of b}x{end}"), HasSubstr("column 8: expected 'in'"));
  EXPECT_THAT(mistake("{a | trimm}"), HasSubstr("column 6: unknown filter 'trimm'; did you mean 'trim'?"));
  EXPECT_THAT(mistake("{a | replace('x')}"), HasSubstr("the filter 'replace' takes 2 arguments, not 1"));
  EXPECT_THAT(mistake("{a | before(|)}"),
              HasSubstr("a filter's argument must be a number, a text in quotes or a column's name"));
  EXPECT_THAT(mistake("{a['b']}"), HasSubstr("expected a number or a name between '[' and ']'"));
  EXPECT_THAT(mistake("{a b}"), HasSubstr("column 4: unexpected 'b'"));
  EXPECT_THAT(mistake("{a ? b}"), HasSubstr("column 4: unexpected '?'"));
  EXPECT_THAT(mistake("{}"), HasSubstr("column 2: expected a column's name, a number or a text in quotes"));
  EXPECT_THAT(mistake("{'a}"), HasSubstr("'{' is never closed"));
  std::string deep;
  for (int i = 0; i < 12; ++i) deep += "{if a}";
  EXPECT_THAT(mistake(deep), HasSubstr("more than 8 levels"));
}

}  // namespace
}  // namespace lowbit
