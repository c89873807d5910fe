#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "lowbit/base/error.h"
#include "lowbit/calibration/doctor.h"
#include "lowbit/data/examples.h"
#include "lowbit/model/weight_source.h"
#include "session.h"

namespace lowbit::cli {
namespace {

struct DoctorArguments {
  std::string model, calibration;
  std::vector<std::string> tests;
  std::uint64_t seed = 0;
};

double percent(double share) { return 100 * share; }

void print_lengths(const CalibrationHealth& health) {
  fmt::print("lengths\n");
  for (const CalibrationHealth::Lengths& lengths : health.lengths) {
    const auto width = static_cast<std::size_t>(40 * lengths.sequences / health.sequences);
    fmt::print("  {:>6} to {:<6} {:>6}  {}\n", lengths.low, lengths.high, lengths.sequences, std::string(width, '#'));
  }
}

void print_health(const CalibrationSet& set, const CalibrationHealth& health) {
  fmt::print("sequences       {} of {} tokens together, {} distinct\n", health.sequences, health.tokens,
             health.distinct_tokens);
  for (std::size_t i = 0; i < set.parts.size(); ++i) {
    const CalibrationPart& part = set.options.parts[i];
    const CalibrationSet::Part& report = set.parts[i];
    fmt::print("part            {} ({}): {} documents{}\n", part.dataset, part.split, report.documents,
               report.used > 0 ? fmt::format(", {} used", report.used) : "");
  }
  print_lengths(health);
  fmt::print("duplicates      {} sequences; {:.1f} % of the tokens stand in an earlier sequence\n", health.duplicates,
             percent(health.repeated));
  fmt::print("truncation      {} sequences lost their beginning, {:.1f} % of the documents' tokens\n", health.truncated,
             percent(health.truncation_loss));
  fmt::print("BOS and EOS     {} sequences begin with BOS, {} end with EOS\n", health.begins_with_bos,
             health.ends_with_eos);
  std::string scripts;
  for (const auto& [script, share] : health.scripts) {
    scripts += fmt::format("{}{} {:.1f} %", scripts.empty() ? "" : ", ", script, percent(share));
  }
  fmt::print("letters         {}\n", scripts.empty() ? "none" : scripts);
  fmt::print("program text    {:.1f} % of the lines\n", percent(health.code));
  for (const CalibrationHealth::Linears& linears : health.linears) {
    fmt::print("layers          {}: {} inputs, {:.1f} tokens for each\n", linears.names, linears.inputs,
               linears.tokens_per_input);
  }
}

/// What a dataset's scored split holds: its questions, or its documents.
std::vector<TestText> scored_texts(const std::string& name, const DatasetCatalog& datasets) {
  const DatasetDefinition definition = datasets.find(name);
  std::vector<TestText> texts;
  if (definition.task == nullptr) {
    for (std::string& text : datasets.load(definition, "test").documents) texts.push_back({.text = std::move(text)});
    return texts;
  }
  const std::string split = datasets.examples(definition, {.shots = 0, .limit = 1}).split;
  std::vector<std::string> solved = datasets.load(definition, split).documents;
  std::vector<std::string> questions = datasets.load(definition, split, {.answers = false}).documents;
  for (std::size_t i = 0; i < solved.size(); ++i) {
    texts.push_back({.text = std::move(solved[i]), .question = std::move(questions[i])});
  }
  return texts;
}

void print_overlaps(const CalibrationOptions& options, const std::vector<std::string>& tests,
                    const DatasetCatalog& datasets) {
  OverlapIndex index(13);
  for (const std::string& test : tests) index.add(test, scored_texts(test, datasets));
  for (const CalibrationPart& part : options.parts) {
    const Corpus corpus = calibration_corpus(part, datasets);
    for (const OverlapCount& count : count_overlaps(corpus, index)) {
      fmt::print("in a test       {} of {} documents of {} ({}) are items of {}, {} more share {} words in a row\n",
                 count.whole, corpus.documents.size(), part.dataset, part.split, count.test, count.run, index.ngram());
    }
  }
}

int examine_calibration(const Session& session, const DoctorArguments& arguments) {
  session.start();
  const Resources resources = session.resources();
  const ModelEntry entry = find_model(arguments.model, resources);
  ConfigProblems problems;
  const CalibrationOptions options =
      decode_calibration(yaml_argument(arguments.calibration, "--calibration"), problems);
  problems.throw_if_any();
  const DatasetCatalog datasets(resources.dataset_folders(), resources.data_folders);
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(entry.path);
  const CalibrationSet set = draw_calibration(options, datasets, *tokenizer, arguments.seed);
  const CalibrationHealth health = examine(set, *tokenizer, open_weights(entry.path)->architecture());
  print_health(set, health);
  print_overlaps(options, arguments.tests, datasets);
  for (const std::string& remark : health.remarks) fmt::print("remark          {}\n", remark);
  if (health.problems.empty()) return 0;
  std::string text;
  for (const std::string& problem : health.problems) text += (text.empty() ? "" : "\n") + problem;
  fail(ErrorCode::kData, "{}", text);
}

}  // namespace

void add_calibration(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("calibration", "Look at calibration data before it is used");
  command->require_subcommand(1);
  auto arguments = std::make_shared<DoctorArguments>();
  CLI::App* doctor = command->add_subcommand(
      "doctor", "Lengths, repetitions, scripts, tokens for each layer; ends with status 3 when there is too little");
  doctor->add_option("model", arguments->model, "Name in configs/models, GGUF file or Hugging Face folder")->required();
  doctor
      ->add_option("--calibration", arguments->calibration,
                   "YAML or file: '{dataset: wordnet, samples: 128, length: 512}'")
      ->required();
  doctor->add_option("--test", arguments->tests, "Dataset whose scored split is looked for in it; may be repeated");
  doctor->add_option("--seed", arguments->seed, "Seed of the draw")->capture_default_str();
  doctor->add_option("--data", session.data_folders, "Folder searched for dataset and model files");
  doctor->callback([arguments, &session] {
    session.command = [arguments, &session] { return examine_calibration(session, *arguments); };
  });
}

}  // namespace lowbit::cli
