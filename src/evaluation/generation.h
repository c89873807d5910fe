#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/question_options.h"
#include "evaluation/writing.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

struct WrittenAnswersOptions : QuestionOptions {
  std::int64_t max_new_tokens = 0;
  double temperature = 0.0;
  std::int64_t top_k = 0;
  double top_p = 1.0;
  std::int64_t seed = 0;

  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// Questions whose answers the model writes. Items are questions, their value the headline metric's.
class WrittenAnswers : public Evaluation {
 public:
  explicit WrittenAnswers(WrittenAnswersOptions options) : options_(std::move(options)) {}
  [[nodiscard]] std::string label() const override;
  [[nodiscard]] std::vector<std::string> datasets() const override { return {options_.dataset}; }
  [[nodiscard]] std::vector<TestText> texts(const DatasetCatalog& datasets) const override;
  /// Of the prompts, and of answers as long as they may be.
  [[nodiscard]] std::int64_t tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] Hash key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] bool uses_cache() const override { return true; }
  [[nodiscard]] bool writes() const override { return true; }
  [[nodiscard]] EvaluationResult run(const EvaluationContext& context) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  /// `tokenizer`: of the model that is asked; null for the dataset's own words.
  [[nodiscard]] ExampleSet examples(const DatasetCatalog& datasets, const Tokenizer* tokenizer) const;
  [[nodiscard]] GenerationOptions generation(const ExampleSet& set) const;
  WrittenAnswersOptions options_;
};

}  // namespace lowbit
