#include <fmt/format.h>

#include <memory>
#include <optional>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/log.h"
#include "lowbit/experiment/plan.h"
#include "lowbit/quantization/driver.h"
#include "session.h"

namespace lowbit::cli {
namespace {

struct QuantizeArguments {
  std::string model, recipe, calibration, output;
  std::uint64_t seed = 0;
  ComputeConfig compute;
};

std::shared_ptr<const Recipe> decode_recipe(const ConfigNode& node, const Architecture& architecture,
                                            const QuantizationRegistries& registries) {
  ConfigProblems problems;
  auto recipe = Recipe::decode("recipe", node, registries, problems);
  if (recipe) recipe->check_layers(architecture, problems);
  problems.throw_if_any();
  return recipe;
}

CalibrationOptions decode_calibration_argument(const std::string& text) {
  if (text.empty()) {
    fail(ErrorCode::kConfig,
         "this recipe needs calibration data; give --calibration '{{dataset: wordnet, samples: 128, length: 512}}'");
  }
  ConfigProblems problems;
  CalibrationOptions options = decode_calibration(yaml_argument(text, "--calibration"), problems);
  problems.throw_if_any();
  return options;
}

int run_quantize(const Session& session, const QuantizeArguments& arguments) {
  session.start();
  const Resources resources = session.resources();
  const ModelEntry entry = find_model(arguments.model, resources);
  const Registries registries = session.registries();
  const ConfigNode node = yaml_argument(arguments.recipe, "--recipe");
  QuantizeRequest request;
  request.recipe = decode_recipe(node, open_weights(entry.path)->architecture(), registries.quantization);
  request.model = Model::open(entry.path, {}, Model::Residency::kStreamed, runtime_readers(registries.quantization));
  request.seed = arguments.seed;
  request.output = arguments.output;
  std::optional<CalibrationSet> calibration;
  if (request.recipe->needs_calibration()) {
    const DatasetCatalog datasets(resources.dataset_folders(), resources.data_folders);
    calibration = draw_calibration(decode_calibration_argument(arguments.calibration), datasets,
                                   request.model->tokenizer(), arguments.seed);
    request.calibration = &*calibration;
  } else if (!arguments.calibration.empty()) {
    (void)decode_calibration_argument(arguments.calibration);
    log::warn("this recipe needs no calibration data; what --calibration names is not read");
  }
  const MemoryPlacement placement =
      place_quantization(request.model->architecture(), arguments.compute, *request.recipe, request.calibration);
  request.memory = {placement.held_bytes, placement.spill_streams};
  const auto progress = session.progress();
  QuantizeReport report;
  blame_plugins(request.recipe->plugins(), [&] { report = quantize(request, *progress, *session.cancellation); });
  fmt::print("{}: {} weights at {:.3f} bits each, {} on disk, {:.1f} s\n", arguments.output,
             report.size.quantized_weights, report.size.bits_per_quantized_weight,
             format_bytes(static_cast<std::uint64_t>(report.size.file_bytes)), report.seconds);
  return 0;
}

}  // namespace

void add_quantize(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("quantize", "Quantize a model into a Hugging Face folder");
  auto arguments = std::make_shared<QuantizeArguments>();
  command->add_option("model", arguments->model, "Name in configs/models, GGUF file or Hugging Face folder")
      ->required();
  command
      ->add_option("--recipe", arguments->recipe,
                   "Steps as YAML, or a file with them: '[{gptq: {bits: 4, group: 64}}]'")
      ->required();
  command->add_option("--calibration", arguments->calibration,
                      "YAML or file: '{dataset: wordnet, samples: 128, length: 512}'");
  command->add_option("-o,--output", arguments->output, "Folder to write; an interrupted run continues there")
      ->required();
  command->add_option("--seed", arguments->seed, "Seed of calibration and of random steps")->capture_default_str();
  command
      ->add_option("--memory-limit", arguments->compute.memory_limit,
                   "MiB to stay within, by keeping less between steps; by default what the machine has available")
      ->check(CLI::Range(0, 1 << 30));
  session.add_compute_options(*command);
  command->callback(
      [arguments, &session] { session.command = [arguments, &session] { return run_quantize(session, *arguments); }; });
}

}  // namespace lowbit::cli
