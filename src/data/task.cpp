#include "data/task.h"

#include <algorithm>
#include <charconv>

#include "data/generation_task.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

struct ShotFields {
  std::int64_t count = 0;
  std::string split;
  bool random = true;
  std::string separator = "\n\n";

  void visit(FieldVisitor& v) {
    v.field("count", count, "solved examples before the question", {0, 1000});
    v.required("split");
    v.field("split", split, "where they come from; never the scored split");
    int order = random ? 0 : 1;
    v.choice("order", order, {"random", "first"}, "drawn anew for each question, or the first ones");
    random = order == 0;
    v.field("separator", separator, "behind each example");
  }
};

struct EntryFields {
  std::string text = "{item}";
  std::string each;
  bool gold = false;
  bool skip_empty = false;

  void visit(FieldVisitor& v) {
    v.field("text", text, "template of the entry");
    v.field("each", each, "a list of the row: one entry for each of its items, which is called 'item'");
    v.field("gold", gold, "whether these are the right ones");
    v.field("skip_empty", skip_empty, "leave out texts that are empty, in place of refusing the row");
  }
};

struct BiasFields {
  std::string ambiguous;
  std::vector<std::string> roles;

  void visit(FieldVisitor& v) {
    v.required("ambiguous");
    v.field("ambiguous", ambiguous, "condition: the context leaves the answer open");
    v.required("roles");
    v.field("roles", roles, "a template for each choice, which gives biased, other or unknown");
  }
};

/// The fields as they are written, before templates are parsed.
struct TaskFields {
  std::string split, where, description, context, continuation, gold, solution;
  ConfigNode columns, hub_columns, contexts, choices, references, generation, bias, shots, group_names, domains;
  Task task;

  void visit(FieldVisitor& v) {
    v.required("split");
    v.field("split", split, "the split that is scored");
    v.field("where", where, "condition that a row must meet to be a question");
    v.field("columns", columns, "further columns: name -> template");
    v.field("hub_columns", hub_columns,
            "columns of rows from the hub, where it has others: name -> template, or list as 'choices'");
    v.field("description", description, "template of what stands once, before everything");
    v.field("context", context, "template of the question");
    v.field("contexts", contexts, "a context for each choice, in place of 'context'");
    v.field("choices", choices, "list of templates, or of {each: list, text: template}");
    v.field("references", references, "where the model writes its answer: list as 'choices', of the right ones");
    v.field("solution", solution, "what shots show as a written answer; by default the first reference");
    v.field("generation", generation, "how an answer is written, found and compared");
    v.field("continuation", continuation, "template of what is scored behind each of 'contexts'");
    v.field("gold", gold, "template of which choice is right");
    v.choice("gold_form", task.gold_form, {"index", "number", "letter", "text", "label"},
             "what 'gold' is: counted from 0, from 1, a letter, the choice's text, or one of 'labels'");
    v.field("labels", task.labels, "what 'gold' is called for each choice");
    v.field("bias", bias, "{ambiguous: condition, roles: [a template for each choice]}, for the bias metrics");
    v.field("delimiter", task.delimiter, "between context and answer");
    v.field("metrics", task.metrics, "what is reported, the headline first");
    v.field("shots", shots, "{split: ..., count: ..., order: random or first, separator: ...}");
    v.field("group_names", group_names, "group -> how templates call it, as 'group_name'");
    v.field("domains", domains, "domain -> list of groups");
  }
};

class TaskDecoder {
 public:
  TaskDecoder(const ConfigNode& node, ConfigProblems& problems) : node_(node), problems_(problems) {}

  std::shared_ptr<const Task> run() {
    decode_fields(node_, fields_, problems_);
    task_ = std::move(fields_.task);
    task_.split = fields_.split;
    if (!fields_.where.empty()) task_.where = parse_condition(fields_.where, mark("where"), problems_);
    task_.description = template_of("description", fields_.description);
    task_.context = template_of("context", fields_.context);
    if (!fields_.continuation.empty()) task_.continuation = template_of("continuation", fields_.continuation);
    if (!fields_.gold.empty()) task_.gold = template_of("gold", fields_.gold);
    for (const ConfigNode::Entry& entry : entries(fields_.columns, "columns")) {
      task_.columns.emplace_back(entry.key.text(), parse_template(entry.value.text(), entry.value.mark(), problems_));
    }
    hub_columns();
    task_.contexts = list(fields_.contexts, "contexts");
    task_.choices = list(fields_.choices, "choices");
    task_.references = list(fields_.references, "references");
    if (!fields_.solution.empty()) task_.solution = template_of("solution", fields_.solution);
    if (!task_.references.empty()) task_.generation = decode_generation(fields_.generation, problems_);
    bias();
    shots();
    groups();
    check();
    return std::make_shared<const Task>(std::move(task_));
  }

 private:
  [[nodiscard]] SourceMark mark(std::string_view key) const {
    const ConfigNode* value = node_.find(key);
    return value == nullptr ? node_.mark() : value->mark();
  }
  [[nodiscard]] Template template_of(std::string_view key, const std::string& text) {
    return parse_template(text, mark(key), problems_);
  }

  // The entries of a map of texts, or of lists when `lists`.
  std::vector<ConfigNode::Entry> entries(const ConfigNode& node, std::string_view key, bool lists = false) {
    if (node.is_null()) return {};
    const auto fits = [&](const ConfigNode::Entry& entry) {
      return lists ? entry.value.is_sequence() : entry.value.is_scalar();
    };
    if (node.is_map() && std::all_of(node.entries().begin(), node.entries().end(), fits)) return node.entries();
    problems_.add(node.mark(), fmt::format("'{}' must be a map of {}", key, lists ? "lists" : "texts"));
    return {};
  }

  std::vector<TaskEntry> list(const ConfigNode& node, std::string_view key) {
    std::vector<TaskEntry> result;
    if (node.is_null()) return result;
    if (!node.is_sequence() || node.items().empty()) {
      problems_.add(node.mark(), fmt::format("'{}' must be a list, such as [\"{{yes}}\", \"{{no}}\"] or "
                                             "[{{each: choices}}]",
                                             key));
      return result;
    }
    for (const ConfigNode& item : node.items()) {
      if (item.is_scalar()) {
        result.push_back({.text = parse_template(item.text(), item.mark(), problems_), .each = {}});
        continue;
      }
      EntryFields fields;
      decode_fields(item, fields, problems_);
      TaskEntry entry{.text = parse_template(fields.text, item.mark(), problems_),
                      .each = {},
                      .gold = fields.gold,
                      .skip_empty = fields.skip_empty};
      if (!fields.each.empty()) entry.each = parse_expression(fields.each, item.mark(), problems_);
      result.push_back(std::move(entry));
    }
    return result;
  }

  void hub_columns() {
    if (fields_.hub_columns.is_null()) return;
    if (!fields_.hub_columns.is_map()) {
      problems_.add(fields_.hub_columns.mark(), "'hub_columns' must be a map of templates, or of lists of them");
      return;
    }
    for (const auto& [key, value] : fields_.hub_columns.entries()) {
      HubColumn column{.name = key.text(), .entries = {}, .is_list = !value.is_scalar()};
      if (column.is_list) {
        column.entries = list(value, column.name);
      } else {
        column.entries.push_back({.text = parse_template(value.text(), value.mark(), problems_), .each = {}});
      }
      task_.hub_columns.push_back(std::move(column));
    }
  }

  void bias() {
    if (fields_.bias.is_null()) return;
    BiasFields fields;
    decode_fields(fields_.bias, fields, problems_);
    BiasRules& rules = task_.bias.emplace();
    if (!fields.ambiguous.empty()) {
      rules.ambiguous = parse_condition(fields.ambiguous, fields_.bias.mark(), problems_);
    }
    for (const std::string& role : fields.roles) {
      rules.roles.push_back(parse_template(role, fields_.bias.mark(), problems_));
    }
  }

  void shots() {
    if (fields_.shots.is_null()) return;
    ShotFields shots;
    decode_fields(fields_.shots, shots, problems_);
    task_.shots = shots.count;
    task_.shot_split = shots.split;
    task_.random_shots = shots.random;
    task_.shot_separator = shots.separator;
    if (shots.split == task_.split) {
      problems_.add(fields_.shots.mark(),
                    fmt::format("shots from '{}', the scored split, would show its answers", shots.split));
    }
  }

  void groups() {
    for (const ConfigNode::Entry& entry : entries(fields_.group_names, "group_names")) {
      task_.group_names[entry.key.text()] = entry.value.text();
    }
    for (const ConfigNode::Entry& entry : entries(fields_.domains, "domains", true)) {
      for (const ConfigNode& group : entry.value.items()) task_.domains[entry.key.text()].push_back(group.text());
    }
  }

  void check() {
    const bool written = !task_.references.empty();
    if (task_.contexts.empty() + task_.choices.empty() + task_.references.empty() != 2) {
      problems_.add(node_.mark(), "a task has one of 'choices', 'contexts' and 'references'");
    }
    if (written) {
      check_written();
    } else {
      check_chosen();
    }
    if (node_.find("metrics") == nullptr && written) task_.metrics = {"exact_match"};
    if (task_.metrics.empty()) problems_.add(mark("metrics"), "'metrics' is empty");
    for (const std::string& metric : task_.metrics) {
      if (std::optional<std::string> mistake = metric_mistake(metric, written)) {
        problems_.add(mark("metrics"), *std::move(mistake));
      }
    }
  }

  void check_written() {
    if (task_.bias) problems_.add(mark("bias"), "'bias' goes with 'choices'");
    if (!fields_.gold.empty()) {
      problems_.add(mark("gold"), "'references' are the right answers; 'gold' says which choice is right");
    }
  }

  void check_chosen() {
    for (const std::string& metric : task_.metrics) {
      if (task_.bias || !needs_bias_roles(metric)) continue;
      problems_.add(mark("metrics"), fmt::format("metric '{}' needs 'bias', which tells what choices show", metric));
    }
    for (const char* key : {"solution", "generation"}) {
      if (node_.find(key) != nullptr) problems_.add(mark(key), fmt::format("'{}' goes with 'references'", key));
    }
    if (task_.contexts.empty() != !task_.continuation) {
      problems_.add(node_.mark(), "'contexts' and 'continuation' go together");
    }
    const std::vector<TaskEntry>& entries = task_.choices.empty() ? task_.contexts : task_.choices;
    const bool marked = std::any_of(entries.begin(), entries.end(), [](const TaskEntry& e) { return e.gold; });
    if (marked == task_.gold.has_value()) {
      problems_.add(node_.mark(), "a task says which choice is right by 'gold', or by entries with 'gold: true'");
    }
    if ((task_.gold_form == GoldForm::kLabel) == task_.labels.empty()) {
      problems_.add(node_.mark(), "'labels' belongs to 'gold_form: label', which needs it");
    }
  }

  const ConfigNode& node_;
  ConfigProblems& problems_;
  TaskFields fields_;
  Task task_;
};

}  // namespace

std::optional<std::size_t> recall_depth(std::string_view metric) {
  if (!metric.starts_with("r@")) return std::nullopt;
  const std::string_view digits = metric.substr(2);
  std::size_t depth = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), depth);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.front() == '0') return std::nullopt;
  return depth;
}

std::optional<std::string> metric_mistake(const std::string& metric, bool written) {
  static const std::vector<std::string> choice_metrics = {"acc",
                                                          "acc_norm",
                                                          "acc_bytes",
                                                          "acc_mutual_info",
                                                          "brier_score",
                                                          "mc2",
                                                          "mrr",
                                                          "r@1",
                                                          "macro_f1",
                                                          "likelihood_diff",
                                                          "mcc",
                                                          "f1",
                                                          "greedy_acc",
                                                          "target_perplexity",
                                                          "acc_ambiguous",
                                                          "acc_disambiguated",
                                                          "bias_ambiguous",
                                                          "bias_disambiguated"};
  static const std::vector<std::string> answer_metrics = {"exact_match", "squad_em", "squad_f1", "rouge1",   "rouge2",
                                                          "rougeL",      "bleu",     "chrf",     "entity_f1"};
  const std::vector<std::string>& known = written ? answer_metrics : choice_metrics;
  if (std::find(known.begin(), known.end(), metric) != known.end()) return std::nullopt;
  if (!written && recall_depth(metric)) return std::nullopt;
  return fmt::format("unknown metric '{}'{}", metric, suggestion(metric, known));
}

bool needs_bias_roles(std::string_view metric) {
  return metric.ends_with("_ambiguous") || metric.ends_with("_disambiguated");
}

std::shared_ptr<const Task> decode_task(const ConfigNode& node, ConfigProblems& problems) {
  return TaskDecoder(node, problems).run();
}

}  // namespace lowbit
