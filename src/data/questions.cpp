#include "data/questions.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/common_prefix.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

std::string join_quoted(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "'" : ", '") + item + "'";
  return text;
}

/// The entries' texts; where they are marked as right, their numbers go to `gold`.
std::vector<std::string> texts_of(const std::vector<TaskEntry>& entries, const TemplateScope& scope,
                                  std::vector<std::size_t>& gold) {
  std::vector<std::string> texts;
  for (const TaskEntry& entry : entries) {
    const std::size_t first = texts.size();
    if (entry.each) {
      const Json items = template_list(*entry.each, scope);
      for (std::size_t i = 0; i < items.size(); ++i) {
        const Json variables = loop_variables("item", items, i);
        std::string text = entry.text.render(TemplateScope(variables, &scope));
        if (!text.empty() || !entry.skip_empty) texts.push_back(std::move(text));
      }
    } else {
      texts.push_back(entry.text.render(scope));
    }
    for (std::size_t i = first; entry.gold && i < texts.size(); ++i) gold.push_back(i);
  }
  return texts;
}

/// The columns that the definition knows, made of the hub's. A name is the hub's column, else one made before.
void add_hub_columns(const Task& task, Json& columns) {
  const Json given = columns;
  const TemplateScope made(columns);
  const TemplateScope scope(given, &made);
  for (const HubColumn& column : task.hub_columns) {
    std::vector<std::size_t> gold;
    std::vector<std::string> texts =
        with_context(fmt::format("column '{}'", column.name), [&] { return texts_of(column.entries, scope, gold); });
    columns[column.name] = column.is_list ? Json(texts) : Json(texts.front());
  }
}

std::optional<std::size_t> whole_number(const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::size_t place_in(const std::vector<std::string>& list, const std::string& text) {
  const auto found = std::find(list.begin(), list.end(), text);
  if (found == list.end()) fail(ErrorCode::kData, "gold is '{}', expected one of {}", text, join_quoted(list));
  return static_cast<std::size_t>(found - list.begin());
}

std::size_t gold_index(const Task& task, const std::string& text, const std::vector<std::string>& choices) {
  if (text.empty()) fail(ErrorCode::kData, "the row has no gold answer");
  std::optional<std::size_t> index;
  switch (task.gold_form) {
    case GoldForm::kIndex: index = whole_number(text); break;
    case GoldForm::kNumber:
      index = whole_number(text);
      if (index && (*index)-- == 0) index.reset();
      break;
    case GoldForm::kLetter:
      if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'Z') index = static_cast<std::size_t>(text[0] - 'A');
      break;
    case GoldForm::kText: return place_in(choices, text);
    case GoldForm::kLabel: index = place_in(task.labels, text); break;
  }
  if (index && *index < choices.size()) return *index;
  const std::string_view expected = task.gold_form == GoldForm::kIndex    ? "a number from 0"
                                    : task.gold_form == GoldForm::kNumber ? "a number from 1"
                                    : task.gold_form == GoldForm::kLetter ? "a letter from A"
                                                                          : "a label";
  fail(ErrorCode::kData, "gold is '{}', expected {} for one of {} choices", text, expected, choices.size());
}

void check_references(const std::vector<std::string>& references) {
  if (references.empty()) fail(ErrorCode::kData, "the row has no reference answer");
  for (const std::string& reference : references) {
    if (reference.empty()) fail(ErrorCode::kData, "a reference answer is empty");
  }
}

void check_choices(const Question& question) {
  if (question.choices.empty()) fail(ErrorCode::kData, "the row has no choices");
  for (std::size_t i = 0; i < question.choices.size(); ++i) {
    if (question.choices[i].empty()) fail(ErrorCode::kData, "choice {} is empty", i + 1);
  }
  for (const std::string& answer : question.answers) {
    if (answer.empty()) fail(ErrorCode::kData, "the continuation is empty");
  }
}

/// What each choice shows. Without a biased one the row would count as a question that nobody can answer with bias.
std::vector<AnswerRole> roles_of(const BiasRules& rules, const TemplateScope& scope, std::size_t choices) {
  static const std::vector<std::string> names = {"other", "biased", "unknown"};
  std::vector<AnswerRole> roles;
  for (const Template& rule : rules.roles) {
    const std::string name = rule.render(scope);
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      fail(ErrorCode::kData, "a choice's role is '{}', expected one of {}", name, join_quoted(names));
    roles.push_back(static_cast<AnswerRole>(found - names.begin()));
  }
  if (roles.size() != choices) fail(ErrorCode::kData, "{} roles for {} choices", roles.size(), choices);
  if (std::find(roles.begin(), roles.end(), AnswerRole::kBiased) == roles.end()) {
    fail(ErrorCode::kData, "none of the choices has the role 'biased'");
  }
  return roles;
}

}  // namespace

Json columns_of(const Task& task, const Row& row) {
  Json columns = row.columns;
  if (row.hub_layout) add_hub_columns(task, columns);
  if (!row.group.empty()) {
    const auto name = task.group_names.find(row.group);
    columns["group"] = row.group;
    columns["group_name"] = name == task.group_names.end() ? row.group : name->second;
  }
  for (const auto& [name, text] : task.columns) {
    std::string value = with_context(fmt::format("column '{}'", name),
                                     [&, &text = text] { return text.render(TemplateScope(columns)); });
    columns[name] = std::move(value);
  }
  return columns;
}

bool is_question(const Task& task, const Json& columns) {
  return !task.where || task.where->holds(TemplateScope(columns));
}

Question make_question(const Task& task, const Json& columns) {
  const TemplateScope scope(columns);
  Question question;
  question.description = task.description.render(scope);
  if (task.generation != nullptr) {
    question.contexts = {task.context.render(scope)};
    question.references = texts_of(task.references, scope, question.gold);
    check_references(question.references);
    question.answers = {task.solution ? task.solution->render(scope) : question.references.front()};
    return question;
  }
  if (task.contexts.empty()) {
    question.contexts = {task.context.render(scope)};
    question.choices = texts_of(task.choices, scope, question.gold);
    question.answers = question.choices;
  } else {
    question.contexts = texts_of(task.contexts, scope, question.gold);
    question.choices = question.contexts;
    question.answers = {task.continuation->render(scope)};
  }
  check_choices(question);
  if (task.gold) question.gold = {gold_index(task, task.gold->render(scope), question.choices)};
  if (question.gold.empty()) fail(ErrorCode::kData, "the row has no gold answer");
  if (task.bias) {
    question.roles = roles_of(*task.bias, scope, question.choices.size());
    question.ambiguous = task.bias->ambiguous.holds(scope);
  }
  return question;
}

std::vector<std::string> resolve_groups(const DatasetDefinition& definition, const std::vector<std::string>& names,
                                        const Rows& rows) {
  std::set<std::string> known;
  for (const Row& row : rows.rows) known.insert(row.group);
  std::vector<std::string> groups;
  for (const std::string& name : names) {
    if (const auto domain = definition.task->domains.find(name); domain != definition.task->domains.end()) {
      groups.insert(groups.end(), domain->second.begin(), domain->second.end());
      continue;
    }
    if (known.contains(name)) {
      groups.push_back(name);
      continue;
    }
    std::vector<std::string> candidates(known.begin(), known.end());
    for (const auto& [domain, members] : definition.task->domains) candidates.push_back(domain);
    fail(ErrorCode::kConfig, "dataset '{}' has no group '{}'{}", definition.name, name, suggestion(name, candidates));
  }
  return groups;
}

SolvedQuestion solved(const Task& task, const Question& question) {
  const std::size_t gold = question.gold.empty() ? 0 : question.gold.front();
  const std::string& context = question.contexts[question.contexts.size() == 1 ? 0 : gold];
  const std::string& answer = question.answers[question.answers.size() == 1 ? 0 : gold];
  return {.text = context + task.delimiter + answer,
          .question_end = context.size(),
          .answer_begin = context.size() + task.delimiter.size()};
}

// Where each choice has a context of its own, one of them would tell it: all that they have in common is shown.
std::string unsolved(const Question& question) {
  const std::string& first = question.contexts.front();
  std::size_t shared = first.size();
  for (const std::string& context : question.contexts) shared = std::min(shared, common_prefix(first, context));
  while (shared > 0 && shared < first.size() && (static_cast<unsigned char>(first[shared]) & 0xC0U) == 0x80U) --shared;
  return first.substr(0, shared);
}

}  // namespace lowbit
