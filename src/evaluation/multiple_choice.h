#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/question_options.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

struct MultipleChoiceOptions : QuestionOptions {
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// Questions with answers to choose from: each is scored by its likelihood behind the question, as EleutherAI's harness
/// does. Items are questions, their value the headline metric's.
class MultipleChoice : public Evaluation {
 public:
  explicit MultipleChoice(MultipleChoiceOptions options) : options_(std::move(options)) {}
  [[nodiscard]] std::string label() const override;
  [[nodiscard]] std::vector<std::string> datasets() const override { return {options_.dataset}; }
  [[nodiscard]] std::int64_t tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] std::vector<TestText> texts(const DatasetCatalog& datasets) const override;
  [[nodiscard]] Hash key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] EvaluationResult run(const EvaluationContext& context) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  /// `tokenizer`: of the model that is asked; null for the dataset's own words.
  [[nodiscard]] ExampleSet examples(const DatasetCatalog& datasets, const Tokenizer* tokenizer) const;
  MultipleChoiceOptions options_;
};

}  // namespace lowbit
