#pragma once

#include <cstdint>

#include "lowbit/efficiency/decode.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

struct EfficiencyOptions {
  std::int64_t prompt = 128;
  std::int64_t new_tokens = 64;
  std::int64_t batch = 1;
  std::int64_t repetitions = 5;
  void visit(FieldVisitor& v);
};

/// How fast a model reads prompts and tokens on this machine, beside what the machine's peaks allow. The headline is
/// tokens decoded a second; an item is one repetition. Its results belong to the processor, the number of
/// threads and the GPUs.
class Efficiency : public Evaluation {
 public:
  explicit Efficiency(const EfficiencyOptions& options) : options_(options) {}
  [[nodiscard]] std::string label() const override;
  void check(const Architecture& architecture) const override;
  [[nodiscard]] std::int64_t tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] Hash key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const override;
  [[nodiscard]] bool uses_cache() const override { return true; }
  [[nodiscard]] EvaluationResult run(const EvaluationContext& context) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  [[nodiscard]] DecodeBenchOptions bench_options() const;
  EfficiencyOptions options_;
};

}  // namespace lowbit
