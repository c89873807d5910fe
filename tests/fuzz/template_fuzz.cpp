// Templates of definitions that others wrote, on rows that others wrote: template and row, a zero byte between them.
#include <algorithm>

#include "data/templates/template.h"
#include "fuzz/fuzz.h"
#include "lowbit/base/json.h"

namespace lowbit::fuzzing {
namespace {

void read(std::string_view input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(0, end);
  const std::string_view row = end < input.size() ? input.substr(end + 1) : "{}";
  ConfigProblems problems;
  const Template made = parse_template(text, {}, problems);
  (void)parse_condition(text, {}, problems);
  (void)parse_expression(text, {}, problems);
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kConfig) throw;
  }
  const Json columns = parse_json(row, "row");
  if (!columns.is_object()) return;
  if (made.render(TemplateScope(columns)).size() > Template::kMaxOutput) report("a text longer than allowed");
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  const std::string row =
      "\0{\"question\": \" Why? \", \"choices\": [\"a\", \"b\"], \"n\": {\"x\": [1, 2]}, \"e\": \"\"}"s;
  return {"{question | trim}\n{for c in choices}{letter}. {c}{if not last}\n{end}{end}" + row,
          "{{literal}} {if e and question != \"x\"}{n.x[1]}{else}{choices | join(\", \")}{end}" + row,
          "{for a in choices}{for b in choices}{a}{b}{index}{number}{end}{end}" + row, "{`question`}" + row};
}

}  // namespace

const Target& target() {
  static const Target result = {.read = read,
                                .seeds = seeds,
                                .words = {"{",
                                          "}",
                                          "{{",
                                          "{if ",
                                          "{else}",
                                          "{end}",
                                          "{for c in choices}",
                                          " | trim",
                                          " | join(\", \")",
                                          " and ",
                                          "not ",
                                          "==",
                                          "[0]",
                                          "[99999999999999999999]",
                                          ".x",
                                          "`",
                                          "\"",
                                          "\\n",
                                          "choices",
                                          "\\u0000"},
                                .memory = std::size_t{16} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
