#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/protocol.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

struct PerplexityOptions {
  std::string dataset;
  std::string split = "test";
  std::vector<std::string> groups = {};
  std::string protocol = "gptq-2048";
  std::int64_t limit = 0;
  std::int64_t prefill = 0;
  bool divergence = true;

  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// Perplexity of a text and, where the experiment has a baseline, how far the model's predictions lie from the float
/// model's on the same positions; both in one pass.
class Perplexity : public Evaluation {
 public:
  explicit Perplexity(PerplexityOptions options);
  [[nodiscard]] std::string label() const override;
  [[nodiscard]] std::vector<std::string> datasets() const override { return {options_.dataset}; }
  [[nodiscard]] std::int64_t tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] std::vector<TestText> texts(const DatasetCatalog& datasets) const override;
  void check(const Architecture& architecture) const override;
  [[nodiscard]] Hash key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] bool needs_baseline() const override { return options_.divergence; }
  [[nodiscard]] bool uses_cache() const override { return options_.prefill > 0; }
  [[nodiscard]] EvaluationResult run(const EvaluationContext& context) const override;
  [[nodiscard]] int version() const override { return 2; }

 private:
  [[nodiscard]] Corpus corpus(const DatasetCatalog& datasets) const;
  PerplexityOptions options_;
  Protocol protocol_;
};

}  // namespace lowbit
