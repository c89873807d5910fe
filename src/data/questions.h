#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "data/task.h"
#include "lowbit/data/examples.h"

namespace lowbit {

/// A row as its task words it, without what stands before: description and shots.
struct Question {
  std::vector<std::string> contexts;  ///< one, or one a choice
  std::vector<std::string> answers;   ///< what follows a context, without the delimiter; one a choice, or one
  std::vector<std::string> choices;   ///< the answers to choose from
  std::vector<std::size_t> gold;
  std::vector<std::string> references;  ///< where answers are written: the right ones, in place of choices
  std::string description;
  std::vector<AnswerRole> roles;  ///< of each choice, where the task tells them
  bool ambiguous = false;
};

/// The row's columns with those that the task derives, its group and its group's name.
[[nodiscard]] Json columns_of(const Task& task, const Row& row);
/// Whether the row is a question of the task.
[[nodiscard]] bool is_question(const Task& task, const Json& columns);
/// Throws `kData` saying what is wrong with the row.
[[nodiscard]] Question make_question(const Task& task, const Json& columns);
/// Domains become their groups; names must be those of groups that `rows` have, else `kConfig`.
[[nodiscard]] std::vector<std::string> resolve_groups(const DatasetDefinition& definition,
                                                      const std::vector<std::string>& names, const Rows& rows);
/// A question with its right answer, as shots and calibration show it.
struct SolvedQuestion {
  std::string text;
  std::size_t question_end = 0;  ///< in bytes; the delimiter follows
  std::size_t answer_begin = 0;

  [[nodiscard]] std::string question() const { return text.substr(0, question_end); }
  [[nodiscard]] std::string answer() const { return text.substr(answer_begin); }
};
[[nodiscard]] SolvedQuestion solved(const Task& task, const Question& question);
/// The same as far as it does not tell the answer.
[[nodiscard]] std::string unsolved(const Question& question);

}  // namespace lowbit
