#include "lowbit/data/examples.h"

#include <algorithm>
#include <map>
#include <memory>

#include "data/python_random.h"
#include "data/questions.h"
#include "lowbit/base/error.h"
#include "lowbit/text/chat_template.h"

namespace lowbit {
namespace {

/// The solved examples of one group, to draw from.
struct ShotPool {
  std::vector<SolvedQuestion> shots;
  std::unique_ptr<PythonRandom> random;
};

class ExampleMaker {
 public:
  ExampleMaker(const DatasetDefinition& definition, const ExampleOptions& options, ExampleSet& out)
      : definition_(definition), task_(*definition.task), options_(options), out_(out) {}

  void add_shots(const Rows& rows) {
    keep_problems(rows);
    for (const Row& row : rows.rows) {
      if (!wanted(row.group)) continue;
      try_row(row, [&](const Json& columns) {
        pools_[row.group].shots.push_back(solved(task_, make_question(task_, columns)));
      });
    }
  }

  void add_questions(const Rows& rows) {
    keep_problems(rows);
    out_.rows = static_cast<std::int64_t>(rows.problems.size());
    std::map<std::string, std::int64_t> taken;
    for (const Row& row : rows.rows) {
      if (!wanted(row.group) || (options_.limit > 0 && taken[row.group] >= options_.limit)) continue;
      try_row(row, [&](const Json& columns) {
        ++taken[row.group];
        ++out_.rows;
        // Drawn before the question is made, so that a broken row does not change the draws behind it.
        const Shots shots = draw_shots(row.group);
        add(row, make_question(task_, columns), shots);
      });
    }
  }

 private:
  using Shots = std::vector<const SolvedQuestion*>;

  [[nodiscard]] bool wanted(const std::string& group) const {
    return options_.groups.empty() ||
           std::find(options_.groups.begin(), options_.groups.end(), group) != options_.groups.end();
  }

  void keep_problems(const Rows& rows) {
    out_.problems.insert(out_.problems.end(), rows.problems.begin(), rows.problems.end());
  }

  template <typename Use>
  void try_row(const Row& row, Use use) {
    try {
      const Json columns = columns_of(task_, row);
      if (is_question(task_, columns)) use(columns);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kData) throw;
      out_.problems.push_back({row.where, error.what()});
    }
  }

  Shots draw_shots(const std::string& group) {
    if (out_.shots == 0) return {};
    ShotPool& pool = pools_[group];
    const auto count = static_cast<std::size_t>(out_.shots);
    if (pool.shots.size() < count) {
      fail(ErrorCode::kData, "{} shots are asked for, and split '{}' has {} usable examples{}", count, task_.shot_split,
           pool.shots.size(), group.empty() ? "" : fmt::format(" of '{}'", group));
    }
    Shots shots;
    if (!task_.random_shots) {
      for (std::size_t i = 0; i < count; ++i) shots.push_back(&pool.shots[i]);
      return shots;
    }
    if (pool.random == nullptr) {
      pool.random = std::make_unique<PythonRandom>(static_cast<std::uint64_t>(options_.shot_seed));
    }
    for (const std::size_t i : pool.random->sample(pool.shots.size(), count)) shots.push_back(&pool.shots[i]);
    return shots;
  }

  [[nodiscard]] std::string in_one_text(const Shots& shots) const {
    std::string text;
    for (const SolvedQuestion* shot : shots) text += shot->text + task_.shot_separator;
    return text;
  }

  [[nodiscard]] std::string conversation(const std::string& description, const Shots& shots,
                                         const std::string& question) const {
    std::vector<ChatMessage> messages;
    if (!description.empty()) messages.push_back({"system", description});
    if (options_.shots_as_turns) {
      for (const SolvedQuestion* shot : shots) {
        messages.push_back({"user", shot->question()});
        messages.push_back({"assistant", shot->answer()});
      }
    }
    messages.push_back({"user", options_.shots_as_turns ? question : in_one_text(shots) + question});
    return options_.chat->render(messages);
  }

  void add(const Row& row, Question question, const Shots& shots) {
    const bool chat = options_.chat != nullptr;
    const std::string before = chat ? "" : question.description + in_one_text(shots);
    Example example{.id = fmt::format("{} {}", row.group.empty() ? out_.split : row.group, row.number),
                    .where = row.where,
                    .group = row.group,
                    .contexts = {},
                    .continuations = {},
                    .choices = std::move(question.choices),
                    .gold = std::move(question.gold),
                    .references = std::move(question.references),
                    .roles = std::move(question.roles),
                    .ambiguous = question.ambiguous,
                    .preamble = before.size()};
    for (const std::string& context : question.contexts) {
      example.contexts.push_back(chat ? conversation(question.description, shots, context) : before + context);
    }
    const std::string delimiter = chat ? "" : task_.delimiter;
    for (const std::string& answer : question.answers) example.continuations.push_back(delimiter + answer);
    out_.examples.push_back(std::move(example));
  }

  const DatasetDefinition& definition_;
  const Task& task_;
  ExampleOptions options_;
  ExampleSet& out_;
  std::map<std::string, ShotPool> pools_;
};

template <typename AddList>
void add_generation(const GenerationTask& rules, Hasher& hasher, const AddList& add_list) {
  hasher.add("generation").add(rules.max_new_tokens).add(rules.ignore_case).add(rules.ignore_punctuation);
  add_list(rules.stop);
  add_list(rules.ignore);
  for (const AnswerRule& rule : rules.answers) {
    hasher.add(rule.name).add(rule.pattern).add(rule.last).add(rule.missing);
  }
}

Hash hash_of_examples(const DatasetDefinition& definition, const ExampleSet& set) {
  Hasher hasher;
  hasher.add("examples").add(definition.version);
  const auto add_list = [&](const std::vector<std::string>& texts) {
    hasher.add(texts.size());
    for (const std::string& text : texts) hasher.add(text);
  };
  for (const Example& example : set.examples) {
    hasher.add(example.id);
    add_list(example.contexts);
    add_list(example.continuations);
    add_list(example.choices);
    if (set.generation != nullptr) add_list(example.references);
    for (const std::size_t gold : example.gold) hasher.add(gold);
    for (const AnswerRole role : example.roles) hasher.add(static_cast<int>(role));
    if (!example.roles.empty()) hasher.add(example.ambiguous);
  }
  for (const ExampleProblem& problem : set.problems) hasher.add(problem.where).add(problem.message);
  add_list(set.metrics);
  if (set.generation != nullptr) add_generation(*set.generation, hasher, add_list);
  return hasher.finish();
}

}  // namespace

ExampleSet DatasetCatalog::examples(const DatasetDefinition& definition, const ExampleOptions& options) const {
  if (definition.task == nullptr) {
    fail(ErrorCode::kConfig, "dataset '{}' is plain text: its definition has no 'task'", definition.name);
  }
  const Task& task = *definition.task;
  ExampleSet set;
  set.split = options.split.empty() ? task.split : options.split;
  set.shots = options.shots < 0 ? task.shots : options.shots;
  set.metrics = task.metrics;
  set.generation = task.generation;
  set.domains = task.domains;
  if (set.shots > 0) {
    set.shot_split = task.shot_split;
    if (task.shot_split.empty()) {
      fail(ErrorCode::kConfig,
           "dataset '{}' does not say where shots come from; add 'shots: {{split: ...}}' to its task", definition.name);
    }
    if (task.shot_split == set.split) {
      fail(ErrorCode::kConfig, "dataset '{}': shots from '{}', the scored split, would show its answers",
           definition.name, set.split);
    }
  }
  const Rows rows = rows_of(definition, set.split);
  ExampleOptions resolved = options;
  resolved.groups = resolve_groups(definition, options.groups, rows);
  ExampleMaker maker(definition, resolved, set);
  if (set.shots > 0) maker.add_shots(rows_of(definition, set.shot_split));
  maker.add_questions(rows);
  if (set.examples.empty()) {
    fail(ErrorCode::kData, "dataset '{}': split '{}' has no usable question{}", definition.name, set.split,
         set.problems.empty() ? std::string()
                              : fmt::format("; the first of {} problems: {}: {}", set.problems.size(),
                                            set.problems.front().where, set.problems.front().message));
  }
  set.hash = hash_of_examples(definition, set);
  return set;
}

}  // namespace lowbit
