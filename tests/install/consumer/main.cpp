#include <lowbit/experiment/resources.h>
#include <lowbit/quantization/driver.h>

#include <cstdio>
#include <exception>

#include "top1.h"

// consumer <model> <text file> <new folder>: quantizes the model on the text, and scores both.
int main(int, char** arguments) try {
  using namespace lowbit;
  const Cancellation cancellation;
  const std::unique_ptr<Progress> progress = silent_progress();
  const DatasetCatalog datasets(find_resources().dataset_folders(), {});
  ConfigProblems problems;

  QuantizeRequest request;
  request.model = Model::open(arguments[1], {}, Model::Residency::kStreamed);
  request.recipe = Recipe::decode("gptq", ConfigNode::parse("[{gptq: {bits: 3, group: 4}}]", "recipe"),
                                  builtin_quantization(), problems);
  problems.throw_if_any();
  request.output = arguments[3];
  const CalibrationSet calibration =
      draw_calibration({"text", {{arguments[2]}}, 8, 32}, datasets, request.model->tokenizer(), request.seed);
  request.calibration = &calibration;
  const QuantizeReport report = quantize(request, *progress, cancellation);
  std::printf("%.3f bits a weight; %zu data sets known\n", report.size.bits_per_quantized_weight,
              datasets.all().size());

  Registry<Evaluation> evaluations = builtin_evaluations();
  register_top1(evaluations);
  const std::string options = "{dataset: " + std::string(arguments[2]) + ", protocol: gptq-32}";
  for (const char* name : {"perplexity", "top1"}) {
    const auto evaluation = evaluations.create(name, {}, ConfigNode::parse(options, "options"), problems);
    problems.throw_if_any();
    for (const char* path : {arguments[1], arguments[3]}) {
      const auto model = Model::open(path, {});
      const EvaluationResult result = evaluation->run({Scorer(*model, {}, *progress, cancellation), datasets});
      std::printf("%s %s %.6g\n", path, result.metrics[0].name.c_str(), result.metrics[0].value);
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
