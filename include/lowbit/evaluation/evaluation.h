#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/data/dataset.h"
#include "lowbit/data/overlap.h"
#include "lowbit/evaluation/scorer.h"
#include "lowbit/registry/registry.h"

namespace lowbit LOWBIT_EXPORT {

/// One number of a result with its uncertainty. `standard_error` is absent where none is defined.
struct Metric {
  std::string name;  ///< "perplexity", "kl_mean", "top1_agreement"
  double value = 0;
  std::optional<double> standard_error;
  bool higher_is_better = false;
};

/// What one evaluation measured on one model. `items` are the units that comparisons pair and resample (windows,
/// documents, questions): `kItemVersion` names their layout.
struct EvaluationResult {
  static constexpr int kItemVersion = 2;
  struct Item {
    std::string id;                      ///< stable across models: "window 17"
    double value = 0;                    ///< the unit's negative log-likelihood over its weight, or its score
    double weight = 1;                   ///< for perplexity the scored tokens, or the words of a document
    std::map<std::string, double> more;  ///< further numbers of the unit: "tokens", "kl", "top1"
    std::string output = {};             ///< what the model wrote, where it writes
  };
  std::string evaluation;       ///< registered name
  std::string label;            ///< as tables head the column: "wordnet gptq-512"
  std::string protocol;         ///< "gptq-512", never empty for a perplexity
  std::vector<Metric> metrics;  ///< the first is the headline
  std::vector<Item> items;
  bool consecutive = false;  ///< the items follow each other in one text, so that neighbours are not independent
  std::vector<std::pair<std::string, std::string>> facts;  ///< tokens, windows, split, template version ...
  /// Rows that could not be scored, or only in part: "piqa.jsonl:17: the row has no column 'goal'". What is measured is
  /// then not what was asked for, and the program's exit status says so.
  std::vector<std::string> problems = {};
  /// How products with quantized weights ran, where they were not simulated as a matter of course (`Model::products`).
  std::vector<ProductRecord> products = {};
};

/// What an evaluation may use besides the model.
struct EvaluationContext {
  const Scorer& scorer;
  const DatasetCatalog& datasets;
  std::uint64_t seed = 0;
  /// Where this evaluation keeps what the float model leaves for the others (hidden states); the same folder for every
  /// model that is compared with the same baseline. Empty: no baseline.
  std::filesystem::path reference_folder{};
  bool is_baseline = false;
  /// The float model itself, for what needs its head; null when `is_baseline` or without a baseline.
  const Model* baseline = nullptr;
};

/// One test of a model. Knows models, data and numbers, no quantizer.
class Evaluation {
 public:
  virtual ~Evaluation() = default;
  [[nodiscard]] virtual std::string label() const = 0;
  /// Throws `kConfig` when this model cannot be tested so, before any weight is read: a window longer than its context.
  virtual void check(const Architecture& architecture) const { (void)architecture; }
  /// Names of the datasets it reads, so that an unknown one is found before anything runs.
  [[nodiscard]] virtual std::vector<std::string> datasets() const { return {}; }
  /// What it scores, for those who must keep calibration data apart from it. Empty: nothing that a text could hold.
  [[nodiscard]] virtual std::vector<TestText> texts(const DatasetCatalog& datasets) const {
    (void)datasets;
    return {};
  }
  /// Tokens that will be run, for `lowbit plan`; needs the tokenizer only.
  [[nodiscard]] virtual std::int64_t tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const = 0;
  /// Everything but the model that decides the result: options, data, protocol.
  [[nodiscard]] virtual Hash key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const = 0;
  /// Whether the float model must have been run first, with the same `reference_folder`, when the experiment has a
  /// baseline; without one the evaluation measures what it can.
  [[nodiscard]] virtual bool needs_baseline() const { return false; }
  /// Whether tokens are read from the model's caches. Elsewhere what a recipe does to them cannot be seen, and a recipe
  /// with a KV cache step whose experiment has no such evaluation is a mistake.
  [[nodiscard]] virtual bool uses_cache() const { return false; }
  /// Whether the model writes, with the caches of all layers in memory (of at most `tokens()` tokens).
  [[nodiscard]] virtual bool writes() const { return false; }
  [[nodiscard]] virtual EvaluationResult run(const EvaluationContext& context) const = 0;
  [[nodiscard]] virtual int version() const = 0;
};

void register_builtin_evaluations(Registry<Evaluation>& registry);
[[nodiscard]] Registry<Evaluation> builtin_evaluations();

}  // namespace LOWBIT_EXPORT
