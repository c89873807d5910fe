#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/config/fields.h"
#include "lowbit/data/examples.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit {

/// Which questions of a dataset an evaluation asks, and what it reports of them.
struct QuestionOptions {
  std::string dataset;
  std::string split;
  std::int64_t shots = -1;
  std::int64_t shot_seed = 1234;
  std::int64_t limit = 0;
  std::vector<std::string> groups;
  std::vector<std::string> metrics;
  bool chat = false;
  bool shots_as_turns = true;

  void visit(FieldVisitor& v);
  /// `written`: whether answers are written, or chosen.
  void check(bool written, ConfigProblems& problems, const SourceMark& mark) const;
  /// As tables head the column: "mmlu STEM 5-shot".
  [[nodiscard]] std::string label() const;
  /// With these metrics where there are any, else the dataset's own.
  /// `tokenizer`: the model's, for its chat template; null for the questions as the dataset words them.
  [[nodiscard]] ExampleSet examples(const DatasetDefinition& definition, const DatasetCatalog& datasets,
                                    const Tokenizer* tokenizer) const;
};

}  // namespace lowbit
