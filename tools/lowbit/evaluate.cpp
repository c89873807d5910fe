#include <fmt/format.h>
#include <stdlib.h>

#include <memory>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/evaluation/evaluation.h"
#include "lowbit/experiment/plan.h"
#include "lowbit/experiment/results.h"
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

// A folder of its own for the float model's states, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lowbit-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      fail(ErrorCode::kIo, "cannot make a folder in '{}'", std::filesystem::temp_directory_path().string());
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::unique_ptr<Evaluation> make_evaluation(const std::string& text) {
  const ConfigNode node = yaml_argument(text, "--evaluation");
  if (!node.is_map() || node.entries().size() != 1) {
    fail(ErrorCode::kConfig,
         "{}: expected one evaluation, such as {{perplexity: {{dataset: wordnet, protocol: gptq-512}}}}",
         node.mark().text());
  }
  const auto& [key, options] = node.entries().front();
  ConfigProblems problems;
  const Registry<Evaluation> registry = builtin_evaluations();
  auto evaluation = registry.create(key.text(), key.mark(), options, problems);
  problems.throw_if_any();
  return evaluation;
}

void print_result(const std::string& name, const EvaluationResult& result) {
  fmt::print("{} on {}\n", name, result.label);
  for (const Metric& metric : result.metrics) {
    fmt::print("  {:<24} {:.6g}{}\n", metric.name, metric.value,
               metric.standard_error ? fmt::format(" ± {:.3g}", *metric.standard_error) : "");
  }
  for (const auto& [key, value] : result.facts) fmt::print("  {:<24} {}\n", key, value);
}

int run_evaluate(const Session& session, EvaluateArguments arguments) {
  session.start();
  arguments.compute.dtype = arguments.dtype == "bfloat16" ? DType::kBFloat16 : DType::kFloat32;
  arguments.compute.deterministic = !arguments.fast;
  if (arguments.streamed) arguments.compute.memory = MemoryMode::kStreamed;
  const Resources resources = session.resources();
  const DatasetCatalog datasets(resources.dataset_folders(), resources.data_folders);
  const auto evaluation = make_evaluation(arguments.evaluation);
  const auto progress = session.progress();
  const TemporaryFolder reference;
  const auto run = [&](const std::string& name, bool is_baseline, const Model* baseline) {
    const ModelEntry entry = find_model(name, resources);
    const MemoryPlacement placement = place_evaluation(open_weights(entry.path)->architecture(), arguments.compute,
                                                       Scorer::Options{}.wave_tokens, baseline != nullptr);
    const auto model = Model::open(entry.path, arguments.compute.options(),
                                   placement.streamed ? Model::Residency::kStreamed : Model::Residency::kResident);
    Scorer::Options options;
    options.batch_tokens = arguments.compute.batch_tokens;
    options.wave_tokens = placement.wave_tokens;
    const Scorer scorer(*model, options, *progress, *session.cancellation);
    EvaluationContext context{scorer, datasets, 0, {}, is_baseline, baseline};
    if (!arguments.baseline.empty()) context.reference_folder = reference.path();
    return evaluation->run(context);
  };
  std::shared_ptr<Model> baseline;
  if (!arguments.baseline.empty()) {
    print_result(arguments.baseline, run(arguments.baseline, true, nullptr));
    baseline = Model::open(find_model(arguments.baseline, resources).path, arguments.compute.options(),
                           Model::Residency::kStreamed);
  }
  const EvaluationResult result = run(arguments.model, false, baseline.get());
  print_result(arguments.model, result);
  if (!arguments.json.empty()) write_file_atomically(arguments.json, evaluation_json(result, {}));
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
  command->add_flag("--streamed", arguments->streamed,
                    "Keep one block of weights in memory at a time, even if all would fit");
  command
      ->add_option("--memory-limit", arguments->compute.memory_limit,
                   "MiB to stay within, by streaming and smaller batches; by default what the machine has available")
      ->check(CLI::Range(0, 1 << 30));
  command->add_flag("--fast", arguments->fast, "Let results depend on batch and threads in the last bits");
  session.add_compute_options(*command);
  command->callback(
      [arguments, &session] { session.command = [arguments, &session] { return run_evaluate(session, *arguments); }; });
}

}  // namespace lowbit::cli
