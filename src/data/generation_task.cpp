#include "data/generation_task.h"

#include <algorithm>
#include <set>

#include "data/answer_pattern.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

struct AnswerFields {
  AnswerRule rule;

  void visit(FieldVisitor& v) {
    v.field("name", rule.name, "put behind the metrics' names");
    v.field("pattern", rule.pattern,
            "regular expression; its first group that matched something is the answer, or all that matched");
    v.choice("take", rule.last, {"first", "last"}, "of several matches");
    v.field("missing", rule.missing, "the answer where nothing matches");
  }
};

struct GenerationFields {
  GenerationTask task;
  ConfigNode answers;

  void visit(FieldVisitor& v) {
    v.field("stop", task.stop, "texts that end the answer, besides the model's end token");
    v.field("max_new_tokens", task.max_new_tokens, "tokens that an answer may have", {1, 1 << 20});
    v.field("answers", answers, "where in the text the answer stands: list of {name, pattern, take, missing}");
    v.field("ignore_case", task.ignore_case, "for exact_match: upper and lower case are alike");
    v.field("ignore_punctuation", task.ignore_punctuation, "for exact_match: ASCII's punctuation does not count");
    v.field("ignore", task.ignore, "for exact_match: regular expressions whose matches do not count");
  }
};

void check_pattern(const std::string& pattern, const SourceMark& mark, ConfigProblems& problems) {
  try {
    (void)AnswerPattern(pattern);
  } catch (const Error& error) {
    problems.add(mark, error.what());
  }
}

std::vector<AnswerRule> decode_answers(const ConfigNode& node, ConfigProblems& problems) {
  if (!node.is_sequence() || node.items().empty()) {
    problems.add(node.mark(), "'answers' must be a list, such as [{pattern: 'answer is (.*)', take: last}]");
    return {{}};
  }
  std::vector<AnswerRule> rules;
  std::set<std::string> names;
  for (const ConfigNode& item : node.items()) {
    AnswerFields fields;
    decode_fields(item, fields, problems);
    if (!fields.rule.pattern.empty()) check_pattern(fields.rule.pattern, item.mark(), problems);
    if (!names.insert(fields.rule.name).second) {
      problems.add(item.mark(), fmt::format("two of 'answers' are called '{}'", fields.rule.name));
    }
    rules.push_back(std::move(fields.rule));
  }
  return rules;
}

}  // namespace

std::shared_ptr<const GenerationTask> decode_generation(const ConfigNode& node, ConfigProblems& problems) {
  GenerationFields fields;
  decode_fields(node, fields, problems);
  if (!fields.answers.is_null()) fields.task.answers = decode_answers(fields.answers, problems);
  for (const std::string& pattern : fields.task.ignore) check_pattern(pattern, node.mark(), problems);
  if (std::find(fields.task.stop.begin(), fields.task.stop.end(), "") != fields.task.stop.end()) {
    problems.add(node.mark(), "'stop' holds an empty text, which would end every answer at once");
  }
  return std::make_shared<const GenerationTask>(std::move(fields.task));
}

}  // namespace lowbit
