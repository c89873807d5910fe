#include <algorithm>
#include <set>

#include "experiment/cache_use.h"
#include "experiment/contrasts.h"
#include "lowbit/base/error.h"
#include "lowbit/data/dataset.h"
#include "lowbit/experiment/experiment.h"
#include "lowbit/model/made_of.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/device_packed.h"

namespace lowbit {
namespace {

// The keys of an experiment file, in the order in which the resolved config shows them.
struct ExperimentFields {
  std::string name;
  std::vector<std::string> models;
  ConfigNode needed, calibrations, overlap, recipes, evaluations, contrasts, compute;
  std::vector<std::int64_t> seeds = {0};
  std::string baseline = Experiment::kBaseline;
  double margin = 0;
  std::string output;
  std::string store = "runs/store";
  void visit(FieldVisitor& v) {
    v.required("name");
    v.field("name", name, "short name; the run's folder is runs/<name> unless 'output' says otherwise");
    v.field("requires", needed, "what must be loaded already: {plugins: [names]}");
    v.required("models");
    v.field("models", models, "names of configs/models, or paths of GGUF files and Hugging Face folders");
    v.field("calibrations", calibrations, "list of calibration sets");
    v.field("overlap", overlap,
            "calibration documents that stand in tests: {mode: list, exclude or ignore, ngram: 13}");
    v.field("recipes", recipes, "map from a name to a list of steps, or to {artifact: path}");
    v.required("evaluations");
    v.field("evaluations", evaluations, "list of maps, each with one evaluation's name and its options");
    v.field("seeds", seeds, "every recipe that draws or calibrates is run once a seed", {0, std::int64_t{1} << 53});
    v.field("baseline", baseline, "what every recipe is compared with; only 'float', the unquantized model");
    v.field("margin", margin, "difference from the baseline that counts as none, for the verdict 'equivalent'; 0: none",
            {0.0, 1e9});
    v.field(
        "contrasts", contrasts,
        "list of {recipes: [a, b, ...], margin: m}, {calibrations: [a, b, ...]} or {same_distribution: {a: [tests], "
        "b: [tests]}}: further tested pairs");
    v.field("compute", compute, "dtype, deterministic, memory, memory_limit, threads, batch_tokens, execution");
    v.field("output", output, "folder of the run; runs/<name> when empty");
    v.field("store", store, "folder of finished work, shared by experiments: artifacts and results by content");
  }
};

// What `requires` may ask for.
struct RequiredFields {
  std::vector<std::string> plugins;
  void visit(FieldVisitor& v) { v.field("plugins", plugins, "names of plugins"); }
};

struct ArtifactFields {
  std::string artifact;
  void visit(FieldVisitor& v) {
    v.required("artifact");
    v.field("artifact", artifact, "folder of a quantized model made elsewhere");
  }
};

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("-_.+,=[]").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

class Decoder {
 public:
  Decoder(const ConfigNode& node, const Registries& registries, const Resources& resources)
      : node_(node),
        registries_(registries),
        resources_(resources),
        datasets_(resources.dataset_folders(), resources.data_folders) {}

  Experiment decode() {
    decode_fields(node_, fields_, problems_);
    check_names();
    required_plugins();
    calibrations();
    recipes();
    evaluations();
    contrasts();
    decode_fields(fields_.overlap, experiment_.overlap, problems_);
    decode_fields(fields_.compute, experiment_.compute, problems_);
    problems_.throw_if_any();
    needs_calibration();
    check_cache_use(experiment_, problems_);
    check_device();
    models();
    problems_.throw_if_any();
    artifacts();
    resolve();
    return std::move(experiment_);
  }

 private:
  [[nodiscard]] const SourceMark& mark_of(std::string_view key) const {
    const ConfigNode* value = node_.find(key);
    return value == nullptr ? node_.mark() : value->mark();
  }

  bool expect(const ConfigNode& node, ConfigNode::Kind kind, std::string_view key, std::string_view what) {
    if (node.is_null()) return false;
    if (node.kind() == kind) return true;
    problems_.add(node.mark(), fmt::format("'{}' must be {}", key, what));
    return false;
  }

  void check_names() {
    experiment_.name = fields_.name;
    if (!fields_.name.empty() && !is_plain_name(fields_.name)) {
      problems_.add(
          mark_of("name"),
          fmt::format("'name' is '{}', expected letters, digits, '-', '_' and '.', since a folder is named after it",
                      fields_.name));
    }
    if (fields_.baseline != Experiment::kBaseline) {
      problems_.add(mark_of("baseline"),
                    fmt::format("'baseline' is '{}', expected 'float', the unquantized model", fields_.baseline));
    }
    if (node_.find("models") != nullptr && fields_.models.empty())
      problems_.add(mark_of("models"), "'models' needs at least one model");
    experiment_.seeds = fields_.seeds;
    if (fields_.seeds.empty()) problems_.add(mark_of("seeds"), "'seeds' needs at least one number");
    if (std::set<std::int64_t>(fields_.seeds.begin(), fields_.seeds.end()).size() != fields_.seeds.size()) {
      problems_.add(mark_of("seeds"), "'seeds' holds a number twice");
    }
    experiment_.output = fields_.output.empty() ? "runs/" + fields_.name : fields_.output;
    experiment_.store = fields_.store;
  }

  // A missing plugin would show as unknown names all over the file, so it is said first and alone.
  void required_plugins() {
    RequiredFields required;
    decode_fields(fields_.needed, required, problems_);
    experiment_.required_plugins = required.plugins;
    for (const std::string& name : required.plugins) {
      const auto& loaded = registries_.plugins;
      if (std::any_of(loaded.begin(), loaded.end(), [&](const auto& plugin) { return plugin.plugin == name; }))
        continue;
      fail(ErrorCode::kPlugin,
           "{}: the experiment requires the plugin '{}', which is not loaded; give '--plugin <its library>' (an "
           "experiment file loads none by itself)",
           mark_of("requires").text(), name);
    }
  }

  void note_origin(const ModuleOrigin& origin) {
    std::vector<ModuleOrigin>& plugins = experiment_.plugins;
    if (!origin.built_in() && std::find(plugins.begin(), plugins.end(), origin) == plugins.end())
      plugins.push_back(origin);
  }

  void check_dataset(const std::string& name, const SourceMark& mark) {
    if (name.empty()) return;  // missing, which is reported already
    try {
      (void)datasets_.find(name);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kConfig) throw;
      problems_.add(mark, error.what());
    }
  }

  void calibrations() {
    if (!expect(fields_.calibrations, ConfigNode::Kind::kSequence, "calibrations", "a list")) return;
    std::set<std::string> names;
    for (const ConfigNode& item : fields_.calibrations.items()) {
      for (const auto& [label, node] : expand_sweeps(item, problems_)) {
        CalibrationOptions options = decode_calibration(node, problems_);
        if (!label.empty()) options.name += "[" + label + "]";
        for (const CalibrationPart& part : options.parts) check_dataset(part.dataset, item.mark());
        if (!names.insert(options.name).second) {
          problems_.add(item.mark(),
                        fmt::format("two calibration sets are called '{}'; give one of them a 'name'", options.name));
        }
        experiment_.calibrations.push_back(std::move(options));
      }
    }
  }

  void recipes() {
    if (!expect(fields_.recipes, ConfigNode::Kind::kMap, "recipes", "a map from names to lists of steps")) return;
    for (const auto& [key, value] : fields_.recipes.entries()) {
      if (!is_plain_name(key.text()) || key.text() == Experiment::kBaseline) {
        problems_.add(key.mark(), fmt::format("'{}' cannot name a recipe: expected letters, digits, '-', '_' and '.', "
                                              "and not 'float', which is the baseline",
                                              key.text()));
        continue;
      }
      for (const auto& [label, node] : expand_sweeps(value, problems_)) {
        recipe(label.empty() ? key.text() : key.text() + "[" + label + "]", node, key.mark());
      }
    }
  }

  void recipe(const std::string& name, const ConfigNode& node, const SourceMark& mark) {
    if (node.is_map()) {
      if (node.find("artifact") == nullptr) {
        problems_.add(node.mark(),
                      fmt::format("recipe '{}' is a map without 'artifact', expected a list of steps, such "
                                  "as [{{rtn: {{bits: 4}}}}], or {{artifact: <folder>}}",
                                  name));
        return;
      }
      ArtifactFields artifact;
      decode_fields(node, artifact, problems_);
      experiment_.recipes.push_back({name, nullptr, artifact.artifact, mark});
      return;
    }
    auto recipe = Recipe::decode(name, node, registries_.quantization, problems_);
    if (!recipe) return;
    for (const ModuleOrigin& plugin : recipe->plugins()) note_origin(plugin);
    experiment_.recipes.push_back({name, std::move(recipe), {}, mark});
  }

  void evaluations() {
    if (!expect(fields_.evaluations, ConfigNode::Kind::kSequence, "evaluations",
                "a list of maps, each with one evaluation's name"))
      return;
    if (fields_.evaluations.items().empty())
      problems_.add(fields_.evaluations.mark(), "'evaluations' needs at least one evaluation");
    std::set<std::string> labels;
    for (const ConfigNode& item : fields_.evaluations.items()) {
      if (!item.is_map() || item.entries().size() != 1) {
        problems_.add(
            item.mark(),
            "an evaluation is a map with one name, such as {perplexity: {dataset: wordnet, protocol: gptq-512}}");
        continue;
      }
      const auto& [key, value] = item.entries().front();
      for (const auto& [label, options] : expand_sweeps(value, problems_)) {
        std::unique_ptr<Evaluation> made = registries_.evaluations.create(key.text(), key.mark(), options, problems_);
        if (!made) continue;
        for (const std::string& name : made->datasets()) check_dataset(name, item.mark());
        if (!labels.insert(made->label()).second) {
          problems_.add(
              item.mark(),
              fmt::format("two evaluations are labelled '{}', and their results could not be told apart; leave "
                          "one out, or run it as another experiment",
                          made->label()));
        }
        resolved_evaluations_.push_back(
            ConfigNode::map({{ConfigNode::scalar(key.text()),
                              registries_.evaluations.resolve(key.text(), key.mark(), options, problems_)}}));
        const ModuleOrigin& origin = registries_.evaluations.origin_of(key.text());
        note_origin(origin);
        experiment_.evaluations.push_back({key.text(), std::move(made), item.mark(), origin});
      }
    }
  }

  void contrasts() {
    if (expect(fields_.contrasts, ConfigNode::Kind::kSequence, "contrasts", "a list")) {
      experiment_.contrasts = decode_contrasts(fields_.contrasts, experiment_, problems_);
    }
    experiment_.margin = fields_.margin;
  }

  void needs_calibration() {
    for (const RecipeEntry& entry : experiment_.recipes) {
      if (entry.recipe && entry.recipe->needs_calibration() && experiment_.calibrations.empty()) {
        problems_.add(
            entry.mark,
            fmt::format(
                "recipe '{}' needs calibration data; add 'calibrations: [{{dataset: ..., samples: 128, length: 512}}]'",
                entry.name));
      }
    }
  }

  void check_device() const {
    const ComputeConfig& compute = experiment_.compute;
    const at::Device device =
        with_context(fields_.compute.mark().text(), [&] { return compute_device(compute.device); });
    if (compute.deterministic && !device.is_cpu()) {
      fail(ErrorCode::kConfig,
           "{}: deterministic results are promised on 'cpu' only; set 'deterministic: false' to compute on '{}'",
           fields_.compute.mark().text(), compute.device);
    }
    if (compute.execution == Execution::kPacked) {
      with_context(fields_.compute.mark().text(), [&] { require_packed_products(device); });
    }
  }

  void models() {
    std::set<std::string> names;
    const ConfigNode* list = node_.find("models");
    for (std::size_t i = 0; i < fields_.models.size(); ++i) {
      const SourceMark& mark = list != nullptr && list->is_sequence() ? list->items()[i].mark() : node_.mark();
      ModelEntry entry = find_model(fields_.models[i], resources_, mark);
      if (!names.insert(entry.name).second) problems_.add(mark, fmt::format("two models are called '{}'", entry.name));
      const std::shared_ptr<const WeightSource> weights = open_weights(entry.path);
      for (const RecipeEntry& recipe : experiment_.recipes) {
        if (recipe.recipe) recipe.recipe->check_layers(weights->architecture(), problems_);
      }
      check_lengths(weights->architecture());
      experiment_.models.push_back(std::move(entry));
    }
  }

  // Of what a model reads at once.
  void check_lengths(const Architecture& architecture) {
    for (const EvaluationEntry& entry : experiment_.evaluations) {
      try {
        entry.evaluation->check(architecture);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kConfig) throw;
        problems_.add(entry.mark, error.what());
      }
    }
    for (const CalibrationOptions& options : experiment_.calibrations) {
      if (architecture.context <= 0 || options.length <= architecture.context) continue;
      problems_.add(mark_of("calibrations"),
                    fmt::format("calibration set '{}' has sequences of {} tokens, the model's context is {}; lower "
                                "'length'",
                                options.name, options.length, architecture.context));
    }
  }

  void artifacts() const {
    for (const RecipeEntry& entry : experiment_.recipes) {
      if (entry.recipe) continue;
      with_context(entry.mark.text(), [&] {
        const auto artifact = open_weights(entry.artifact);
        for (const ModelEntry& model : experiment_.models) check_made_of(*artifact, *open_weights(model.path));
      });
    }
  }

  void resolve() {
    const auto text = [](std::string value) { return ConfigNode::scalar(std::move(value)); };
    std::vector<ConfigNode> model_names, calibrations, seeds, contrasts;
    for (const std::string& model : fields_.models) model_names.push_back(text(model));
    for (const CalibrationOptions& options : experiment_.calibrations)
      calibrations.push_back(echo_calibration(options));
    for (const std::int64_t seed : experiment_.seeds) seeds.push_back(text(std::to_string(seed)));
    for (const Contrast& contrast : experiment_.contrasts) contrasts.push_back(echo_fields(contrast));
    std::vector<ConfigNode::Entry> recipes;
    for (const RecipeEntry& entry : experiment_.recipes) {
      recipes.push_back({text(entry.name), entry.recipe
                                               ? entry.recipe->resolved()
                                               : ConfigNode::map({{text("artifact"), text(entry.artifact.string())}})});
    }
    std::vector<ConfigNode::Entry> entries = {{text("name"), text(experiment_.name)},
                                              {text("models"), ConfigNode::sequence(std::move(model_names))},
                                              {text("calibrations"), ConfigNode::sequence(std::move(calibrations))},
                                              {text("overlap"), echo_fields(experiment_.overlap)},
                                              {text("recipes"), ConfigNode::map(std::move(recipes))},
                                              {text("evaluations"), ConfigNode::sequence(resolved_evaluations_)},
                                              {text("seeds"), ConfigNode::sequence(std::move(seeds))},
                                              {text("baseline"), text(fields_.baseline)},
                                              {text("margin"), text(fmt::format("{}", fields_.margin))},
                                              {text("contrasts"), ConfigNode::sequence(std::move(contrasts))},
                                              {text("compute"), echo_fields(experiment_.compute)},
                                              {text("output"), text(experiment_.output.string())},
                                              {text("store"), text(experiment_.store.string())}};
    if (!experiment_.required_plugins.empty()) {
      entries.insert(entries.begin() + 1,
                     {text("requires"), echo_fields(RequiredFields{experiment_.required_plugins})});
    }
    experiment_.resolved = ConfigNode::map(std::move(entries));
  }

  const ConfigNode& node_;
  const Registries& registries_;
  const Resources& resources_;
  DatasetCatalog datasets_;
  ConfigProblems problems_;
  ExperimentFields fields_;
  Experiment experiment_;
  std::vector<ConfigNode> resolved_evaluations_;
};

}  // namespace

Hash Experiment::hash() const { return hash_of(resolved.to_yaml()); }

Experiment decode_experiment(const ConfigNode& node, const Registries& registries, const Resources& resources) {
  return Decoder(node, registries, resources).decode();
}

Experiment load_experiment(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                           const Registries& registries, const Resources& resources) {
  ConfigNode node = ConfigNode::load(file);
  for (const std::string& override_text : overrides) {
    const auto [path, value] = parse_override(override_text);
    node = node.with(path, value);
  }
  return decode_experiment(node, registries, resources);
}

}  // namespace lowbit
