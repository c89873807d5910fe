#include "evaluation/perplexity.h"

#include <cmath>
#include <filesystem>
#include <numbers>
#include <optional>

#include "evaluation/cache_use.h"
#include "evaluation/divergence.h"
#include "lowbit/base/error.h"
#include "lowbit/evaluation/statistics.h"

namespace lowbit {
namespace {

EvaluationResult::Item make_item(const ScoredUnit& unit, std::span<const Score> scores) {
  double sum = 0;
  for (const Score& score : scores.subspan(unit.first_request, unit.requests)) sum += score.sum();
  return {.id = unit.id, .value = -sum / unit.weight, .weight = unit.weight, .more = unit.more};
}

MeanEstimate mean_per(std::string_view what, const std::vector<EvaluationResult::Item>& items) {
  std::vector<double> values;
  std::vector<double> weights;
  for (const EvaluationResult::Item& item : items) {
    const double weight = what.empty() ? item.weight : item.more.at(std::string(what));
    values.push_back(item.value * item.weight / weight);
    weights.push_back(weight);
  }
  return weighted_mean_of(values, weights);
}

/// exp of a mean; its error by the delta method.
Metric exponential(std::string name, const MeanEstimate& nll) {
  const double value = std::exp(nll.mean);
  return {
      .name = std::move(name), .value = value, .standard_error = nll.scaled_error(value), .higher_is_better = false};
}

Metric in_bits(const MeanEstimate& nll, double per_byte) {
  const double factor = per_byte / std::numbers::ln2;
  return {.name = "bits_per_byte",
          .value = nll.mean * factor,
          .standard_error = nll.scaled_error(factor),
          .higher_is_better = false};
}

void add_perplexity(const Protocol& protocol, const ProtocolPlan& plan, EvaluationResult& result) {
  const MeanEstimate nll = mean_per("", result.items);
  if (protocol.kind == Protocol::Kind::kLmEval) {
    const MeanEstimate bytes = mean_per("bytes", result.items);
    result.metrics = {exponential("word_perplexity", nll), exponential("byte_perplexity", bytes), in_bits(bytes, 1.0)};
    return;
  }
  // A window's bytes are not whole characters: the whole text tells how many tokens a byte takes.
  const double tokens_per_byte = static_cast<double>(plan.text_tokens) / static_cast<double>(plan.text_bytes);
  result.metrics = {exponential("perplexity", nll), in_bits(nll, tokens_per_byte)};
}

/// The uncertainty that llama.cpp prints: as if tokens were independent.
std::string token_uncertainty(std::span<const Score> scores, double perplexity) {
  std::vector<double> values;
  for (const Score& score : scores) {
    values.insert(values.end(), score.log_likelihood.begin(), score.log_likelihood.end());
  }
  return fmt::format("{:.6g}", perplexity * mean_of(values).standard_error);
}

void add_facts(const PerplexityOptions& options, const Protocol& protocol, const ProtocolPlan& plan,
               const Corpus& corpus, const Model& model, EvaluationResult& result) {
  const bool documents = protocol.kind == Protocol::Kind::kLmEval;
  const auto fact = [&](const char* name, std::string value) { result.facts.emplace_back(name, std::move(value)); };
  fact("dataset", corpus.dataset);
  fact("split", options.split);
  fact("corpus", corpus.hash.hex());
  fact("text tokens", fmt::format("{}", plan.text_tokens));
  fact(documents ? "documents" : "windows", fmt::format("{}", plan.units.size()));
  fact("scored tokens", fmt::format("{}", plan.scored_tokens));
  fact("window length", fmt::format("{}", protocol.length > 0 ? protocol.length : model.architecture().context));
  const bool bos = documents || model.tokenizer().adds_bos();
  fact("bos", !bos                                     ? "none"
              : protocol.kind == Protocol::Kind::kGptq ? "once, before the text"
              : documents                              ? "before each document"
                                                       : "in place of each window's first token");
}

}  // namespace

void PerplexityOptions::visit(FieldVisitor& v) {
  v.required("dataset");
  v.field("dataset", dataset, "dataset's name, or path of a definition or text file");
  v.field("split", split, "split that is scored");
  v.field("groups", groups, "only texts of these subjects or domains");
  v.field("protocol", protocol,
          "how the text is cut and scored: gptq-<length>, llama.cpp-<length>, lm-eval, lm-eval-wikitext");
  v.field("limit", limit, "only the first so many windows or documents; 0: all", {0, std::int64_t{1} << 40});
  v.field(
      "prefill", prefill,
      "tokens of a window that are read at once; the others are read one at a time from the KV cache, and scored. 0: "
      "no cache",
      {0, std::int64_t{1} << 24});
  v.field("divergence", divergence, "where there is a baseline, also compare each prediction with the float model's");
}

void PerplexityOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  const std::optional<Protocol> known = parse_protocol(protocol);
  if (!known) {
    problems.add(mark, fmt::format("unknown protocol '{}'; known: {}", protocol, known_protocols()));
  } else if (prefill > 0 && known->kind == Protocol::Kind::kLmEval) {
    problems.add(mark, fmt::format("'prefill' has no meaning for protocol '{}', whose documents are shorter and longer "
                                   "than any; take 'gptq-<length>' or 'llama.cpp-<length>'",
                                   protocol));
  } else if (prefill > 0 && prefill + 2 > known->length) {
    problems.add(mark, fmt::format("'prefill' is {}, expected at most {}, so that protocol '{}' has a token to predict "
                                   "from the cache",
                                   prefill, known->length - 2, protocol));
  }
}

Perplexity::Perplexity(PerplexityOptions options) : options_(std::move(options)) {
  const std::optional<Protocol> protocol = parse_protocol(options_.protocol);
  LOWBIT_ASSERT(protocol.has_value());
  protocol_ = with_prefill(*protocol, options_.prefill);
}

std::string Perplexity::label() const {
  const bool is_path = options_.dataset.find('/') != std::string::npos;
  std::string text = is_path ? std::filesystem::path(options_.dataset).stem().string() : options_.dataset;
  if (options_.split != "test") text += " " + options_.split;
  for (const std::string& group : options_.groups) text += " " + group;
  return text + " " + protocol_.name;
}

Corpus Perplexity::corpus(const DatasetCatalog& datasets) const {
  return datasets.load(datasets.find(options_.dataset), options_.split, {.groups = options_.groups});
}

std::int64_t Perplexity::tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const {
  return plan_protocol(protocol_, corpus(datasets), tokenizer, options_.limit, 0).read_tokens();
}

// All of the split, whatever `limit` says: a document outside the windows may be inside those of another length.
std::vector<TestText> Perplexity::texts(const DatasetCatalog& datasets) const {
  std::vector<TestText> texts;
  for (std::string& document : corpus(datasets).documents) texts.push_back({.text = std::move(document)});
  return texts;
}

void Perplexity::check(const Architecture& architecture) const { check_window(protocol_, architecture.context); }

Hash Perplexity::key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const {
  Hasher hasher;
  if (options_.prefill > 0) hasher.add("prefill").add(options_.prefill);
  return hasher.add("perplexity")
      .add(version())
      .add(options_.protocol)
      .add(options_.limit)
      .add(options_.divergence)
      .add(corpus(datasets).hash)
      .add(tokenizer.fingerprint())
      .finish();
}

EvaluationResult Perplexity::run(const EvaluationContext& context) const {
  const Model& model = context.scorer.model();
  const Corpus text = corpus(context.datasets);
  const ProtocolPlan plan =
      plan_protocol(protocol_, text, model.tokenizer(), options_.limit, model.architecture().context);
  const bool compare = options_.divergence && !context.reference_folder.empty();
  // States belong to tokens: a model whose tokenizer is stored in another form but gives the same ids finds them.
  const std::filesystem::path file =
      compare ? context.reference_folder / (hash_of_requests(plan.requests).hex() + ".safetensors") : "";

  std::optional<ReferenceWriter> writer;
  std::optional<DivergenceObserver> divergence;
  ScoreObserver* observer = nullptr;
  if (compare && context.is_baseline) {
    observer = &writer.emplace(file, context.scorer.work_folder(), plan.requests, model.architecture().hidden);
  } else if (compare) {
    LOWBIT_ASSERT(context.baseline != nullptr);
    observer = &divergence.emplace(file, *context.baseline, plan.requests);
  }
  const std::vector<Score> scores = context.scorer.score(plan.requests, observer);
  if (writer) writer->finish();

  EvaluationResult result{.evaluation = "perplexity",
                          .label = label(),
                          .protocol = protocol_.name,
                          .metrics = {},
                          .items = {},
                          .consecutive = protocol_.kind != Protocol::Kind::kLmEval,
                          .facts = {}};
  for (const ScoredUnit& unit : plan.units) result.items.push_back(make_item(unit, scores));
  add_perplexity(protocol_, plan, result);
  add_facts(options_, protocol_, plan, text, model, result);
  if (protocol_.kind == Protocol::Kind::kLlamaCpp) {
    result.facts.emplace_back("uncertainty over tokens", token_uncertainty(scores, result.metrics.front().value));
  }
  add_cache_use(plan.requests, scores, model, result);
  if (divergence) add_divergence(divergence->positions(), plan.units, result);
  return result;
}

}  // namespace lowbit
