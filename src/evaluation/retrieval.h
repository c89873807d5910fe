#pragma once

#include <cstdint>

#include "evaluation/retrieval_text.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

struct RetrievalOptions {
  RetrievalPlan plan;
  void visit(FieldVisitor& v);
};

/// Whether a model finds one of many records in its context: the records are read at once, the question and the answer
/// one token at a time from the cache. A test is passed when each token of the answer is the most likely one, which is
/// when greedy generation gives the answer.
class Retrieval : public Evaluation {
 public:
  explicit Retrieval(const RetrievalOptions& options) : plan_(options.plan) {}
  [[nodiscard]] std::string label() const override;
  void check(const Architecture& architecture) const override;
  [[nodiscard]] std::int64_t tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] Hash key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] bool uses_cache() const override { return true; }
  [[nodiscard]] EvaluationResult run(const EvaluationContext& context) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  RetrievalPlan plan_;
};

}  // namespace lowbit
