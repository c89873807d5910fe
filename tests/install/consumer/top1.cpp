#include "top1.h"

#include <lowbit/base/error.h>
#include <lowbit/evaluation/statistics.h>

#include <algorithm>

namespace {

struct Top1Options {
  std::string dataset;
  std::string protocol = "gptq-32";
  void visit(lowbit::FieldVisitor& v) {
    v.required("dataset");
    v.field("dataset", dataset, "a name of datasets/, or a text file");
    v.field("protocol", protocol, "'gptq-32': windows of 32 tokens that do not overlap");
  }
  void validate(lowbit::ConfigProblems& problems, const lowbit::SourceMark& mark) const {
    if (protocol != "gptq-32") problems.add(mark, "'protocol' is '" + protocol + "', expected 'gptq-32'");
  }
};

class Top1 : public lowbit::Evaluation {
 public:
  explicit Top1(const Top1Options& options) : options_(options) {}

  [[nodiscard]] std::string label() const override { return options_.dataset + " top1"; }
  [[nodiscard]] std::vector<std::string> datasets() const override { return {options_.dataset}; }
  [[nodiscard]] std::int64_t tokens(const lowbit::Tokenizer& tokenizer,
                                    const lowbit::DatasetCatalog& datasets) const override {
    return static_cast<std::int64_t>(requests(tokenizer, datasets).size()) * kWindow;
  }
  [[nodiscard]] lowbit::Hash key(const lowbit::Tokenizer&, const lowbit::DatasetCatalog& datasets) const override {
    return lowbit::Hasher().add("top1").add(corpus(datasets).hash).finish();
  }
  [[nodiscard]] int version() const override { return 1; }

  [[nodiscard]] lowbit::EvaluationResult run(const lowbit::EvaluationContext& context) const override {
    const std::vector<lowbit::ScoreRequest> windows = requests(context.scorer.model().tokenizer(), context.datasets);
    lowbit::EvaluationResult result;
    std::vector<double> shares;
    for (const lowbit::Score& score : context.scorer.score(windows)) {
      const auto hits = static_cast<double>(std::count(score.greedy.begin(), score.greedy.end(), true));
      shares.push_back(hits / static_cast<double>(score.greedy.size()));
      result.items.push_back({"window " + std::to_string(shares.size() - 1), shares.back(), 1, {}});
    }
    const lowbit::MeanEstimate mean = lowbit::mean_of(shares);
    result.evaluation = "top1";
    result.label = label();
    result.protocol = options_.protocol;
    result.metrics = {{"top1", mean.mean, mean.scaled_error(), true}};
    return result;
  }

 private:
  static constexpr std::int64_t kWindow = 32;

  [[nodiscard]] lowbit::Corpus corpus(const lowbit::DatasetCatalog& datasets) const {
    return datasets.load(datasets.find(options_.dataset), "test");
  }
  [[nodiscard]] std::vector<lowbit::ScoreRequest> requests(const lowbit::Tokenizer& tokenizer,
                                                           const lowbit::DatasetCatalog& datasets) const {
    const std::vector<lowbit::TokenId> tokens = tokenizer.encode(corpus(datasets).joined());
    std::vector<lowbit::ScoreRequest> requests;
    for (auto begin = tokens.begin(); tokens.end() - begin >= kWindow; begin += kWindow)
      requests.push_back({{begin, begin + kWindow}, 1});
    if (requests.empty()) lowbit::fail(lowbit::ErrorCode::kData, "'{}' is shorter than a window", options_.dataset);
    return requests;
  }
  Top1Options options_;
};

}  // namespace

void register_top1(lowbit::Registry<lowbit::Evaluation>& registry) {
  registry.add<Top1Options>("top1", "share of tokens that were the model's first choice", "",
                            [](const Top1Options& options) { return std::make_unique<Top1>(options); });
}
