#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/data/dataset.h"

namespace lowbit LOWBIT_EXPORT {

class ChatTemplate;

/// What an answer to a question about social groups shows (Parrish et al. 2022, "BBQ").
enum class AnswerRole {
  kOther,    ///< against the stereotype
  kBiased,   ///< what the stereotype says
  kUnknown,  ///< that it cannot be known
};

/// One question as a model meets it: the text before, and the answers to choose from. Choice i is scored as
/// continuation i behind context i; where there is a single context or continuation, all choices share it. Where the
/// model writes the answer itself there are `references` in place of choices.
struct Example {
  std::string id;                          ///< "validation 17" or "anatomy 17": split or group, and the row's number
  std::string where;                       ///< "piqa/piqa.jsonl:18"
  std::string group;                       ///< the subject, for datasets in groups
  std::vector<std::string> contexts;       ///< description, shots and prompt; one, or one a choice
  std::vector<std::string> continuations;  ///< delimiter and answer; one, or one a choice
  std::vector<std::string> choices;        ///< the answers alone, whose lengths some metrics divide by
  std::vector<std::size_t> gold;           ///< the right ones, at least one
  std::vector<std::string> references;     ///< right answers that a written one is compared with
  std::vector<AnswerRole> roles;           ///< of each choice, where the task tells them
  bool ambiguous = false;                  ///< with roles: whether the context leaves the answer open
  std::size_t preamble = 0;                ///< bytes of a context that description and shots take; 0 in a conversation

  [[nodiscard]] const std::string& context(std::size_t choice) const {
    return contexts[contexts.size() == 1 ? 0 : choice];
  }
  [[nodiscard]] const std::string& continuation(std::size_t choice) const {
    return continuations[continuations.size() == 1 ? 0 : choice];
  }
};

/// A row that could not become a question, and why.
struct ExampleProblem {
  std::string where;
  std::string message;
};

struct ExampleOptions {
  std::string split = {};                ///< empty: the one that the definition says is scored
  std::int64_t shots = -1;               ///< solved examples before the question; -1: as the definition says
  std::int64_t shot_seed = 1234;         ///< where shots are drawn at random: as Python's `random.Random(seed)` draws
  std::int64_t limit = 0;                ///< only the first so many questions; 0: all
  std::vector<std::string> groups = {};  ///< only these, by name or domain; empty: all
  /// The question as a user's turn of a conversation, the description as the system's, and answers without the
  /// delimiter: as EleutherAI's harness does with `--apply_chat_template`.
  const ChatTemplate* chat = nullptr;
  /// Of a conversation: each shot a user's turn and the model's (`--fewshot_as_multiturn`); else all of them stand in
  /// the question's turn.
  bool shots_as_turns = true;
};

/// Where in a model's text its answer stands, as a filter of EleutherAI's harness finds it.
struct AnswerRule {
  std::string name;     ///< put behind the metrics' names; empty for the only rule
  std::string pattern;  ///< regular expression; its first group that is not empty, or all of it; empty: the whole text
  bool last = false;    ///< of several matches the last one
  std::string missing = "[invalid]";  ///< the answer where nothing matches
};

/// How a model is made to write its answer, and how that is compared.
struct GenerationTask {
  std::vector<std::string> stop = {"\n\n"};  ///< texts that end it, besides the model's end token
  std::int64_t max_new_tokens = 256;
  std::vector<AnswerRule> answers = {{}};
  // What `exact_match` does not see.
  bool ignore_case = false;
  bool ignore_punctuation = false;       ///< of ASCII
  std::vector<std::string> ignore = {};  ///< regular expressions, deleted from both texts
};

struct ExampleSet {
  std::string split;
  std::string shot_split;  ///< empty without shots
  std::int64_t shots = 0;
  std::int64_t rows = 0;  ///< that the split has, usable or not, within the groups and the limit
  std::vector<Example> examples;
  std::vector<ExampleProblem> problems;
  std::vector<std::string> metrics;                         ///< by name, the headline first
  std::shared_ptr<const GenerationTask> generation;         ///< null where answers are chosen
  std::map<std::string, std::vector<std::string>> domains;  ///< domain -> groups
  Hash hash;                                                ///< of the definition's version and all that is rendered
};

/// What is wrong with the name of a metric of answers that are chosen, or written: with the nearest one that there is.
[[nodiscard]] std::optional<std::string> metric_mistake(const std::string& metric, bool written);
/// How many of the likeliest choices a recall looks at, 3 of "r@3"; none for other metrics.
[[nodiscard]] std::optional<std::size_t> recall_depth(std::string_view metric);
/// Of choices: those of which the task must tell what they show of a bias.
[[nodiscard]] bool needs_bias_roles(std::string_view metric);

}  // namespace LOWBIT_EXPORT
