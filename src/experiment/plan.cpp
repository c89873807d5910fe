#include "lowbit/experiment/plan.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>

#include "experiment/calibration_source.h"
#include "experiment/estimate.h"
#include "experiment/machine.h"
#include "lowbit/base/error.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/tensor/environment.h"
#include "lowbit/tensor/parallel.h"
#include "lowbit/text/chat_template.h"

namespace lowbit {
namespace {

// Raised when the same inputs give other bits for a reason that no step's own version covers.
constexpr int kPlanVersion = 7;

// A model that evaluations run on, opened without reading weights.
struct OpenModel {
  std::shared_ptr<const WeightSource> weights;
  std::unique_ptr<Tokenizer> tokenizer;
  Hash key;    // of weights, tokenizer and the way of computing
  Hash words;  // of what decides how it reads a question: tokenizer and chat template
};

Hash words_of(const Tokenizer& tokenizer) {
  Hasher hasher;
  hasher.add(tokenizer.fingerprint());
  try {
    hasher.add(tokenizer.chat_template().source());
  } catch (const Error&) {  // none, or a damaged one: whoever asks in conversations meets the error
  }
  return hasher.finish();
}

OpenModel open_model(const std::filesystem::path& path, const ComputeConfig& compute) {
  OpenModel model;
  model.weights = open_weights(path);
  model.tokenizer = load_tokenizer(path);
  model.words = words_of(*model.tokenizer);
  model.key = Hasher()
                  .add(kPlanVersion)
                  .add(model.weights->fingerprint())
                  .add(model.tokenizer->fingerprint())
                  .add(dtype_name(compute.dtype))
                  .add(compute.deterministic)
                  .add(compute.device == "cpu" ? "" : compute.device)
                  .add(cpu_capability())
                  .add(torch_version())
                  .finish();
  return model;
}

class Planner {
 public:
  Planner(const Experiment& experiment, const Resources& resources)
      : experiment_(experiment),
        datasets_(resources.dataset_folders(), resources.data_folders),
        calibration_(experiment, datasets_),
        store_(experiment.store),
        speed_(measure_speed(experiment.compute)),
        sharing_recipes_(
            std::count_if(experiment.recipes.begin(), experiment.recipes.end(),
                          [](const RecipeEntry& entry) { return entry.recipe && shares_statistics(*entry.recipe); })) {
    plan_.busy = speed_.busy;
  }

  Plan make() {
    for (std::size_t model = 0; model < experiment_.models.size(); ++model) {
      add_model(static_cast<int>(model));
    }
    plan_.plugins = experiment_.plugins;
    plan_.overlaps = calibration_.overlaps();
    return std::move(plan_);
  }

 private:
  void add_model(int model) {
    const OpenModel base = open_model(experiment_.models[static_cast<std::size_t>(model)].path, experiment_.compute);
    estimator_.emplace(base.weights->architecture(), experiment_.compute, speed_);
    calibrations_.clear();
    references_.clear();
    collected_.clear();
    for (std::size_t e = 0; e < experiment_.evaluations.size(); ++e) add_baseline(model, static_cast<int>(e), base);
    for (std::size_t r = 0; r < experiment_.recipes.size(); ++r) {
      const RecipeEntry& entry = experiment_.recipes[r];
      if (!entry.recipe) {
        const OpenModel artifact = open_model(entry.artifact, experiment_.compute);
        add_evaluations(model, static_cast<int>(r), -1, 0, artifact, "");
      } else if (!entry.recipe->needs_calibration()) {
        add_recipe(model, static_cast<int>(r), -1, 0, base);
      } else {
        for (std::size_t c = 0; c < experiment_.calibrations.size(); ++c) {
          for (const std::int64_t seed : experiment_.seeds) {
            add_recipe(model, static_cast<int>(r), static_cast<int>(c), seed, base);
          }
        }
      }
    }
  }

  void add_baseline(int model, int evaluation, const OpenModel& base) {
    const Evaluation& test = *experiment_.evaluations[static_cast<std::size_t>(evaluation)].evaluation;
    WorkItem item;
    item.model = model;
    item.evaluation = evaluation;
    item.reference_key = Hasher().add("reference").add(base.key).add(scored(evaluation, base).key).finish().hex();
    Hasher key;
    key.add("evaluate").add(base.key).add(scored(evaluation, base).key).add(test.version());
    add_execution(key);
    item.key = key.finish().hex();
    item.title = fmt::format("evaluate {} on {}", Experiment::kBaseline, test.label());
    item.tokens = scored(evaluation, base).tokens;
    estimator_->evaluation(
        item, {.keeps_states = test.needs_baseline(), .cached = test.uses_cache(), .writes = test.writes()});
    references_[evaluation] = item.reference_key;
    plan_.cells.push_back({model, -1, -1, evaluation, 0, item.key, ""});
    add_item(std::move(item));
  }

  void add_recipe(int model, int recipe, int calibration, std::int64_t seed, const OpenModel& base) {
    const RecipeEntry& entry = experiment_.recipes[static_cast<std::size_t>(recipe)];
    WorkItem item;
    item.kind = WorkItem::Kind::kQuantize;
    item.model = model;
    item.recipe = recipe;
    item.calibration = calibration;
    item.seed = seed;
    Hasher key;
    key.add("quantize").add(base.key).add(entry.recipe->hash());
    item.title = fmt::format("quantize {}", entry.name);
    std::int64_t longest = 0;
    if (calibration >= 0) {
      const CalibrationSet& set = calibration_set(calibration, seed, base);
      key.add(set.hash).add(seed);
      item.tokens = set.tokens();
      longest = set.longest();
      item.title += fmt::format(" (calibration {}, seed {})", set.options.name, seed);
    }
    item.key = key.finish().hex();
    item.artifact_key = item.key;
    item.shares_statistics = calibration >= 0 && sharing_recipes_ > 1 && shares_statistics(*entry.recipe);
    estimator_->quantization(item, *entry.recipe, longest, item.shares_statistics && is_collected(item, *entry.recipe));
    const std::string artifact = item.key;
    add_item(std::move(item));
    add_evaluations(model, recipe, calibration, seed, base, artifact);
  }

  void add_evaluations(int model, int recipe, int calibration, std::int64_t seed, const OpenModel& opened,
                       const std::string& artifact) {
    for (std::size_t e = 0; e < experiment_.evaluations.size(); ++e) {
      const int evaluation = static_cast<int>(e);
      const Evaluation& test = *experiment_.evaluations[e].evaluation;
      WorkItem item;
      item.model = model;
      item.recipe = recipe;
      item.calibration = calibration;
      item.seed = seed;
      item.evaluation = evaluation;
      item.artifact_key = artifact;
      if (test.needs_baseline()) item.reference_key = references_[evaluation];
      Hasher key;
      key.add("evaluate")
          .add(opened.key)
          .add(scored(evaluation, opened).key)
          .add(test.version())
          .add(artifact)
          .add(item.reference_key);
      add_execution(key);
      item.key = key.finish().hex();
      const std::string& name = experiment_.recipes[static_cast<std::size_t>(recipe)].name;
      item.title = fmt::format("evaluate {} on {}", name, test.label());
      item.tokens = scored(evaluation, opened).tokens;
      estimator_->evaluation(item, {.compared = test.needs_baseline(),
                                    .cached = test.uses_cache(),
                                    .writes = test.writes(),
                                    .recipe = experiment_.recipes[static_cast<std::size_t>(recipe)].recipe.get()});
      plan_.cells.push_back({model, recipe, calibration, evaluation, seed, item.key, artifact});
      add_item(std::move(item));
    }
  }

  // Whether an earlier recipe leaves the same statistics; notes that this one will.
  bool is_collected(const WorkItem& item, const Recipe& recipe) {
    const StatisticsNeeds needs = recipe.needs();
    return !collected_.emplace(item.calibration, item.seed, needs.hessian, needs.channel_range).second;
  }

  // What simulates is keyed as it was before products could run packed.
  void add_execution(Hasher& key) const {
    const Execution execution = experiment_.compute.execution;
    if (execution != Execution::kSimulated) key.add(execution_name(execution));
  }

  // What an evaluation scores for a tokenizer: read once, whatever the number of cells.
  struct Scored {
    Hash key;
    std::int64_t tokens = 0;
  };

  const Scored& scored(int evaluation, const OpenModel& model) {
    const auto [place, added] = scored_.try_emplace({evaluation, model.words});
    if (!added) return place->second;
    const EvaluationEntry& entry = experiment_.evaluations[static_cast<std::size_t>(evaluation)];
    with_context(entry.mark.text(), [&] {
      Hash key = entry.evaluation->key(*model.tokenizer, datasets_);
      if (!entry.origin.built_in()) key = Hasher().add(key).add(entry.origin.hash).finish();
      place->second = {key, entry.evaluation->tokens(*model.tokenizer, datasets_)};
    });
    return place->second;
  }

  const CalibrationSet& calibration_set(int calibration, std::int64_t seed, const OpenModel& base) {
    const auto found = calibrations_.find({calibration, seed});
    if (found != calibrations_.end()) return found->second;
    return calibrations_[{calibration, seed}] = calibration_.draw(calibration, seed, *base.tokenizer);
  }

  // Cells that share a key share the work.
  void add_item(WorkItem item) {
    if (plan_.find(item.key) != nullptr) return;
    item.done = store_.has(item) && !lacks_states(item);
    plan_.items.push_back(std::move(item));
  }

  // A float evaluation counts as done only while the states are there that others are compared with.
  [[nodiscard]] bool lacks_states(const WorkItem& item) const {
    if (item.kind != WorkItem::Kind::kEvaluate || item.recipe >= 0) return false;
    if (!experiment_.evaluations[static_cast<std::size_t>(item.evaluation)].evaluation->needs_baseline()) return false;
    std::error_code error;
    return !std::filesystem::exists(store_.reference(item.reference_key), error);
  }

  const Experiment& experiment_;
  DatasetCatalog datasets_;
  CalibrationSource calibration_;
  Store store_;
  MachineSpeed speed_;
  Plan plan_;
  std::optional<Estimator> estimator_;
  std::map<std::pair<int, std::int64_t>, CalibrationSet> calibrations_;
  std::map<std::pair<int, Hash>, Scored> scored_;
  std::map<int, std::string> references_;
  std::int64_t sharing_recipes_;
  std::set<std::tuple<int, std::int64_t, bool, bool>> collected_;
};

}  // namespace

const WorkItem* Plan::find(const std::string& key) const {
  const auto found = std::find_if(items.begin(), items.end(), [&](const WorkItem& item) { return item.key == key; });
  return found == items.end() ? nullptr : &*found;
}

Plan make_plan(const Experiment& experiment, const Resources& resources) {
  Plan plan;
  // As its workers do: speeds, and results that are times, hold for this number.
  if (experiment.compute.threads > 0) set_thread_count(experiment.compute.threads);
  blame_plugins(experiment.plugins, [&] { plan = Planner(experiment, resources).make(); });
  return plan;
}

Store::Store(std::filesystem::path folder) : folder_(std::move(folder)) {}
std::filesystem::path Store::artifact(const std::string& key) const { return folder_ / "artifacts" / key; }
std::filesystem::path Store::result(const std::string& key) const { return folder_ / "results" / (key + ".json"); }
std::filesystem::path Store::reference(const std::string& key) const { return folder_ / "references" / key; }
std::filesystem::path Store::failure(const std::string& key) const { return folder_ / "failures" / (key + ".json"); }
std::filesystem::path Store::log(const std::string& key) const { return folder_ / "logs" / (key + ".log"); }
std::filesystem::path Store::unfinished() const { return folder_ / "unfinished"; }

bool Store::has(const WorkItem& item) const {
  std::error_code error;
  return std::filesystem::exists(result(item.key), error);
}

}  // namespace lowbit
