#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/log.h"
#include "lowbit/base/work_folder.h"
#include "lowbit/evaluation/evaluation.h"
#include "lowbit/experiment/plan.h"
#include "lowbit/experiment/results.h"
#include "lowbit/model/made_of.h"
#include "lowbit/tensor/environment.h"
#include "session.h"

namespace lowbit::cli {
namespace {

struct EvaluateArguments {
  std::string model, baseline, evaluation, json;
  ComputeConfig compute;
  std::string dtype = "float32";
  bool streamed = false;
  bool fast = false;
};

struct MadeEvaluation {
  std::unique_ptr<Evaluation> evaluation;
  std::vector<ModuleOrigin> plugins;  // that it comes from: none or one
};

MadeEvaluation make_evaluation(const std::string& text, const Registry<Evaluation>& registry) {
  const ConfigNode node = yaml_argument(text, "--evaluation");
  if (!node.is_map() || node.entries().size() != 1) {
    fail(ErrorCode::kConfig,
         "{}: expected one evaluation, such as {{perplexity: {{dataset: wordnet, protocol: gptq-512}}}}",
         node.mark().text());
  }
  const auto& [key, options] = node.entries().front();
  ConfigProblems problems;
  auto evaluation = registry.create(key.text(), key.mark(), options, problems);
  problems.throw_if_any();
  return {std::move(evaluation), registry.origin_of(key.text()).plugins()};
}

void print_result(const std::string& name, const EvaluationResult& result) {
  fmt::print("{} on {}\n", name, result.label);
  for (const Metric& metric : result.metrics) {
    fmt::print("  {:<24} {:.6g}{}\n", metric.name, metric.value,
               metric.standard_error ? fmt::format(" ± {:.3g}", *metric.standard_error) : "");
  }
  for (const auto& [key, value] : result.facts) fmt::print("  {:<24} {}\n", key, value);
  for (const ProductSummary& products : summarize_products(result.products)) {
    fmt::print("  {:<24} {}\n", "products", products.text());
    if (products.outputs == 0) continue;
    const ProductRecord& worst = products.worst;
    fmt::print("  {:<24} {} outputs, error {:.1e} on ordinary inputs, at most {:.0f} % of its bound on any\n",
               "certificate", products.outputs, worst.error, 100 * worst.worst_share);
  }
}

// What was measured stands; that it is not all that was asked for is the command's error.
void refuse_problems(const EvaluationResult& result) {
  constexpr std::size_t kShown = 10;
  if (result.problems.empty()) return;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, result.problems.size()); ++i) text += "\n  " + result.problems[i];
  if (result.problems.size() > kShown) text += fmt::format("\n  and {} more", result.problems.size() - kShown);
  fail(ErrorCode::kData, "{}: {} of the dataset's rows could not be scored, or not whole:{}", result.label,
       result.problems.size(), text);
}

// Evaluates the models of one command. What a killed command finished is kept under what decides the result, so that
// the same command goes on behind it.
class Evaluator {
 public:
  Evaluator(const Session& session, const EvaluateArguments& arguments)
      : session_(session),
        arguments_(arguments),
        resources_(session.resources()),
        datasets_(resources_.dataset_folders(), resources_.data_folders),
        registries_(session.registries()),
        made_(make_evaluation(arguments.evaluation, registries_.evaluations)),
        readers_(runtime_readers(registries_.quantization)),
        progress_(session.progress()) {}

  void run() {
    if (!arguments_.json.empty()) (void)AtomicFile(arguments_.json);  // whether it can be written, before all the work
    std::shared_ptr<Model> baseline;
    if (!arguments_.baseline.empty()) {
      check_made_of(*open_weights(find_model(arguments_.model, resources_).path),
                    *open_weights(find_model(arguments_.baseline, resources_).path));
      print_result(arguments_.baseline, run_baseline());
      baseline = open(arguments_.baseline, Model::Residency::kStreamed);
    }
    const auto [model, wave_tokens] = place(arguments_.model, baseline != nullptr);
    WorkFolder& folder = folder_for(*model, baseline ? baseline_key_ : Hash());
    model->hold_resident_blocks(*session_.cancellation);  // not part of the evaluation's cost
    Cost cost;
    const auto start = std::chrono::steady_clock::now();
    const EvaluationResult result = score(*model, wave_tokens, folder, false, baseline.get());
    cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    print_result(arguments_.model, result);
    if (!arguments_.json.empty()) write_json(result, cost);
    for (const auto& done : folders_) done->remove();
    refuse_problems(result);
  }

 private:
  [[nodiscard]] std::shared_ptr<Model> open(const std::string& name, Model::Residency residency) const {
    return Model::open(find_model(name, resources_).path, arguments_.compute.options(), residency, readers_);
  }

  struct PlacedModel {
    std::shared_ptr<Model> model;
    std::int64_t wave_tokens;
  };
  // Resident or streamed, as memory allows.
  [[nodiscard]] PlacedModel place(const std::string& name, bool compared) const {
    const auto weights = open_weights(find_model(name, resources_).path);
    const MemoryPlacement placement =
        place_evaluation(weights->architecture(), arguments_.compute, Scorer::Options().wave_tokens, compared,
                         made_.evaluation->uses_cache(), made_.evaluation->writes());
    return {open(name, placement.streamed ? Model::Residency::kStreamed : Model::Residency::kResident),
            placement.wave_tokens};
  }

  WorkFolder& folder_for(const Model& model, const Hash& compared_with) {
    Hasher plugins;
    for (const ModuleOrigin& plugin : made_.plugins) plugins.add(plugin.hash);
    const Hash key = Hasher()
                         .add(model.weights().fingerprint())
                         .add(model.tokenizer().fingerprint())
                         .add(made_.evaluation->key(model.tokenizer(), datasets_))
                         .add(made_.evaluation->version())
                         .add(dtype_name(arguments_.compute.dtype))
                         .add(arguments_.compute.deterministic)
                         .add(cpu_capability())
                         .add(torch_version())
                         .add(compared_with)
                         .add(plugins.finish())
                         .add(execution_name(arguments_.compute.execution))
                         .finish();
    folders_.push_back(std::make_unique<WorkFolder>(user_cache_folder() / "unfinished", key.hex()));
    return *folders_.back();
  }

  EvaluationResult run_baseline() {
    const auto [model, wave_tokens] = place(arguments_.baseline, false);
    baseline_key_ = model->weights().fingerprint();
    WorkFolder& folder = folder_for(*model, hash_of("baseline"));
    reference_folder_ = folder.path() / "reference";
    const std::filesystem::path finished = folder.path() / "result.json";
    if (std::filesystem::exists(finished)) {
      log::info("{}: was done before", arguments_.baseline);
      return evaluation_from_json(read_file(finished), finished.string()).first;
    }
    EvaluationResult result = score(*model, wave_tokens, folder, true, nullptr);
    write_file_atomically(finished, evaluation_json(result, {}));
    return result;
  }

  EvaluationResult score(const Model& model, std::int64_t wave_tokens, const WorkFolder& folder, bool is_baseline,
                         const Model* baseline) {
    Scorer::Options options;
    options.batch_tokens = arguments_.compute.batch_tokens;
    options.wave_tokens = wave_tokens;
    options.work_folder = folder.path();
    const Scorer scorer(model, options, *progress_, *session_.cancellation);
    EvaluationResult result;
    blame_plugins(made_.plugins, [&] {
      result = made_.evaluation->run({scorer, datasets_, 0, reference_folder_, is_baseline, baseline});
    });
    result.products = model.products();
    return result;
  }

  void write_json(const EvaluationResult& result, const Cost& cost) const {
    const std::filesystem::path file = arguments_.json;
    remove_abandoned_writes(file.parent_path(), file.filename().string());
    write_file_atomically(file, evaluation_json(result, cost));
  }

  const Session& session_;
  const EvaluateArguments& arguments_;
  Resources resources_;
  DatasetCatalog datasets_;
  Registries registries_;
  MadeEvaluation made_;
  RuntimeReaders readers_;
  std::unique_ptr<Progress> progress_;
  std::vector<std::unique_ptr<WorkFolder>> folders_;
  std::filesystem::path reference_folder_;
  Hash baseline_key_;
};

int run_evaluate(const Session& session, EvaluateArguments arguments) {
  session.start();
  arguments.compute.dtype = arguments.dtype == "bfloat16" ? DType::kBFloat16 : DType::kFloat32;
  arguments.compute.deterministic = !arguments.fast;
  if (arguments.streamed) arguments.compute.memory = MemoryMode::kStreamed;
  Evaluator(session, arguments).run();
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("evaluate", "Run one evaluation on a model or a quantized folder");
  auto arguments = std::make_shared<EvaluateArguments>();
  command->add_option("model", arguments->model, "Name in configs/models, GGUF file or Hugging Face folder")
      ->required();
  command
      ->add_option("--evaluation", arguments->evaluation,
                   "YAML or file: '{perplexity: {dataset: wordnet, protocol: gptq-512}}'")
      ->required();
  command->add_option("--baseline", arguments->baseline,
                      "The float model to compare with: adds KL divergence and agreement");
  command->add_option("--json", arguments->json, "Write the result with every item to this file");
  command->add_option("--dtype", arguments->dtype, "Type to compute in")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  command->add_option("--batch-tokens", arguments->compute.batch_tokens, "Tokens of one batch")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command
      ->add_option("--device", arguments->compute.device, "Where to compute: cpu, cuda or cuda:<number> (with --fast)")
      ->capture_default_str();
  command->add_flag("--streamed", arguments->streamed,
                    "Keep one block of weights in memory at a time, even if all would fit");
  command
      ->add_option("--memory-limit", arguments->compute.memory_limit,
                   "MiB to stay within, by streaming and smaller batches; by default what the machine has available")
      ->check(CLI::Range(0, 1 << 30));
  command->add_flag("--fast", arguments->fast, "Let results depend on batch and threads in the last bits");
  add_execution_option(*command, arguments->compute.execution);
  session.add_compute_options(*command);
  command->footer("What a killed or interrupted evaluation has scored is kept; the same command goes on behind it.");
  command->callback(
      [arguments, &session] { session.command = [arguments, &session] { return run_evaluate(session, *arguments); }; });
}

}  // namespace lowbit::cli
