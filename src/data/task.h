#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/rows.h"
#include "data/templates/template.h"
#include "lowbit/config/fields.h"

namespace lowbit {

/// One entry of a list in a task: a text, or a text for each item of a list of the row.
struct TaskEntry {
  Template text;
  std::optional<TemplateExpression> each;  ///< its items are called "item"
  bool gold = false;                       ///< what it gives is right
  bool skip_empty = false;                 ///< an empty text is no entry
};

/// A column made of the hub's: a text, or a list of texts.
struct HubColumn {
  std::string name;
  std::vector<TaskEntry> entries;
  bool is_list = false;
};

/// How a row tells what its choices show of a bias.
struct BiasRules {
  TemplateCondition ambiguous;
  std::vector<Template> roles;  ///< one a choice: "biased", "other" or "unknown"
};

/// How a row says which choice is right.
enum class GoldForm {
  kIndex,   ///< counted from 0
  kNumber,  ///< counted from 1
  kLetter,  ///< A is the first
  kText,    ///< the choice's text
  kLabel,   ///< its place in `labels`
};

/// How rows become questions: the part "task" of a definition, its templates parsed.
struct Task {
  std::string split;                                      ///< that is scored
  std::optional<TemplateCondition> where;                 ///< rows that it does not hold for are no questions
  std::vector<HubColumn> hub_columns;                     ///< for rows that the hub lays out in another way
  std::vector<std::pair<std::string, Template>> columns;  ///< further ones, each from those before
  Template description;
  Template context;
  std::vector<TaskEntry> contexts;  ///< one a choice, in place of `context`
  std::vector<TaskEntry> choices;
  std::optional<Template> continuation;  ///< the same for all choices; goes with `contexts`
  std::optional<Template> gold;          ///< none when entries are gold
  GoldForm gold_form = GoldForm::kIndex;
  std::vector<std::string> labels;
  std::vector<TaskEntry> references;                 ///< where answers are written: the right ones, in place of choices
  std::optional<Template> solution;                  ///< what shots show as the answer; by default the first reference
  std::shared_ptr<const GenerationTask> generation;  ///< null where answers are chosen
  std::optional<BiasRules> bias;
  std::string delimiter = " ";  ///< between context and answer
  std::vector<std::string> metrics = {"acc"};
  std::int64_t shots = 0;
  std::string shot_split;
  bool random_shots = true;
  std::string shot_separator = "\n\n";
  std::map<std::string, std::string> group_names;           ///< group -> as prompts call it
  std::map<std::string, std::vector<std::string>> domains;  ///< domain -> groups
};

/// Decodes the part "task"; mistakes are added to `problems`.
[[nodiscard]] std::shared_ptr<const Task> decode_task(const ConfigNode& node, ConfigProblems& problems);

}  // namespace lowbit
