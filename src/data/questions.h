#pragma once

#include <string>
#include <vector>

#include "data/task.h"

namespace lowbit {

/// A row as its task words it, without what stands before: description and shots.
struct Question {
  std::vector<std::string> contexts;  ///< one, or one a choice
  std::vector<std::string> answers;   ///< what follows a context, without the delimiter; one a choice, or one
  std::vector<std::string> choices;   ///< the answers to choose from
  std::vector<std::size_t> gold;
  std::string description;
};

/// The row's columns with those that the task derives, its group and its group's name.
[[nodiscard]] Json columns_of(const Task& task, const Row& row);
/// Whether the row is a question of the task.
[[nodiscard]] bool is_question(const Task& task, const Json& columns);
/// Throws `kData` saying what is wrong with the row.
[[nodiscard]] Question make_question(const Task& task, const Json& columns);
/// A question with its right answer, as shots and calibration show it.
[[nodiscard]] std::string solved(const Task& task, const Question& question);

}  // namespace lowbit
