#include "evaluation/question_options.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "lowbit/base/error.h"
#include "lowbit/text/chat_template.h"

namespace lowbit {

void QuestionOptions::visit(FieldVisitor& v) {
  v.required("dataset");
  v.field("dataset", dataset, "name of a dataset with a task, or path of its definition");
  v.field("split", split, "split that is scored; empty: the one that the dataset names");
  v.field("shots", shots, "solved examples before each question; -1: as many as the dataset says", {-1, 1000});
  v.field("shot_seed", shot_seed, "seed of the draws, where shots are random", {0, (std::int64_t{1} << 32) - 1});
  v.field("limit", limit, "only the first so many questions, of each group where there are groups; 0: all",
          {0, std::int64_t{1} << 40});
  v.field("groups", groups, "only these subjects or domains");
  v.field("metrics", metrics, "what is reported, the headline first; empty: what the dataset names");
  v.field("chat", chat, "ask in a user's turn, in the form of the model's chat template; answers follow directly");
  v.field("shots_as_turns", shots_as_turns,
          "with 'chat', each shot is a user's turn and the model's; else all stand in the question's turn");
}

void QuestionOptions::check(bool written, ConfigProblems& problems, const SourceMark& mark) const {
  for (const std::string& metric : metrics) {
    if (std::optional<std::string> mistake = metric_mistake(metric, written)) problems.add(mark, *std::move(mistake));
  }
  if (!shots_as_turns && !chat) {
    problems.add(mark,
                 "'shots_as_turns: false' without a conversation: turns are made with 'chat: true'; add it, or leave "
                 "'shots_as_turns' out");
  }
}

std::string QuestionOptions::label() const {
  std::string text = std::filesystem::path(dataset).stem().string();
  if (!split.empty()) text += " " + split;
  for (const std::string& group : groups) text += " " + group;
  if (shots >= 0) text += fmt::format(" {}-shot", shots);
  if (chat) text += shots_as_turns ? " chat" : " chat one-turn";
  return text;
}

ExampleSet QuestionOptions::examples(const DatasetDefinition& definition, const DatasetCatalog& datasets,
                                     const Tokenizer* tokenizer) const {
  ExampleOptions options{.split = split, .shots = shots, .shot_seed = shot_seed, .limit = limit, .groups = groups};
  std::optional<ChatTemplate> form;
  if (chat && tokenizer != nullptr) options.chat = &form.emplace(tokenizer->chat_template());
  options.shots_as_turns = shots_as_turns;
  ExampleSet set = datasets.examples(definition, options);
  if (!metrics.empty()) set.metrics = metrics;
  return set;
}

}  // namespace lowbit
