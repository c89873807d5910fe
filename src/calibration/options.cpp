#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

#include "lowbit/base/error.h"
#include "lowbit/calibration/calibration_set.h"

namespace lowbit {
namespace {

struct CalibrationFields {
  CalibrationOptions options;
  CalibrationPart single{.dataset = "", .split = "train", .weight = 1.0};
  ConfigNode mix;

  void visit(FieldVisitor& v) {
    v.field("name", options.name, "how tables call the set; by default the datasets' names joined by '+'");
    v.field("dataset", single.dataset, "dataset's name, or path of a definition or text file");
    v.field("split", single.split, "split of the dataset");
    v.field("mix", mix, "in place of dataset: a list of {dataset, split, weight}");
    v.field("samples", options.samples, "number of sequences", {1, 1000000});
    v.field("length", options.length, "tokens of a sequence", {2, 1 << 20});
  }
};

void decode_mix(const ConfigNode& mix, CalibrationOptions& options, ConfigProblems& problems) {
  if (!mix.is_sequence() || mix.items().empty()) {
    problems.add(mix.mark(), "'mix' must be a list such as [{dataset: a, weight: 0.5}, {dataset: b, weight: 0.5}]");
    return;
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (const ConfigNode& item : mix.items()) {
    CalibrationPart part;
    decode_fields(item, part, problems);
    if (!seen.emplace(part.dataset, part.split).second) {
      problems.add(item.mark(), fmt::format("'{}' ({}) is in the mix already; give it once, with its whole weight",
                                            part.dataset, part.split));
    }
    options.parts.push_back(std::move(part));
  }
}

void check_shares(const CalibrationOptions& options, const SourceMark& mark, ConfigProblems& problems) {
  const std::vector<std::int64_t> counts = samples_of_parts(options);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) continue;
    problems.add(mark, fmt::format("'{}' would give none of {} samples; raise its weight or 'samples'",
                                   options.parts[i].dataset, options.samples));
  }
}

std::string default_name(const CalibrationOptions& options) {
  std::string name;
  for (const CalibrationPart& part : options.parts) {
    const bool is_path = part.dataset.find('/') != std::string::npos;
    name += (name.empty() ? "" : "+") + (is_path ? std::filesystem::path(part.dataset).stem().string() : part.dataset);
  }
  return name;
}

}  // namespace

void CalibrationPart::visit(FieldVisitor& v) {
  v.required("dataset");
  v.field("dataset", dataset, "dataset's name, or path of a definition or text file");
  v.field("split", split, "split of the dataset");
  v.field("weight", weight, "share of the sequences, relative to the other parts", {0.0, 1e9});
}

void CalibrationPart::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (!(weight > 0)) problems.add(mark, fmt::format("'weight' of '{}' must be more than 0, got {}", dataset, weight));
}

CalibrationOptions decode_calibration(const ConfigNode& node, ConfigProblems& problems) {
  const std::size_t before = problems.size();
  CalibrationFields fields;
  decode_fields(node, fields, problems);
  if (problems.size() != before) return fields.options;
  CalibrationOptions& options = fields.options;
  if (fields.mix.is_null() == fields.single.dataset.empty()) {
    problems.add(node.mark(), "a calibration set needs either 'dataset' or 'mix'");
  } else if (!fields.mix.is_null() && node.find("split") != nullptr) {
    problems.add(node.mark(), "'split' belongs to each part of 'mix'");
  } else if (fields.mix.is_null()) {
    options.parts.push_back(fields.single);
  } else {
    decode_mix(fields.mix, options, problems);
  }
  if (problems.size() != before) return options;
  check_shares(options, node.mark(), problems);
  if (options.name.empty()) options.name = default_name(options);
  return options;
}

ConfigNode echo_calibration(const CalibrationOptions& options) {
  std::vector<ConfigNode::Entry> entries;
  const auto add = [&](const char* key, ConfigNode value) {
    entries.push_back({ConfigNode::scalar(key), std::move(value)});
  };
  add("name", ConfigNode::scalar(options.name));
  if (options.parts.size() == 1) {
    add("dataset", ConfigNode::scalar(options.parts[0].dataset));
    add("split", ConfigNode::scalar(options.parts[0].split));
  } else {
    std::vector<ConfigNode> parts;
    for (const CalibrationPart& part : options.parts) parts.push_back(echo_fields(part));
    add("mix", ConfigNode::sequence(std::move(parts)));
  }
  add("samples", ConfigNode::scalar(fmt::format("{}", options.samples)));
  add("length", ConfigNode::scalar(fmt::format("{}", options.length)));
  return ConfigNode::map(std::move(entries));
}

std::vector<std::int64_t> samples_of_parts(const CalibrationOptions& options) {
  double total = 0;
  for (const CalibrationPart& part : options.parts) total += part.weight;
  std::vector<std::int64_t> counts;
  std::vector<double> remainders;
  for (const CalibrationPart& part : options.parts) {
    const double share = static_cast<double>(options.samples) * (part.weight / total);
    counts.push_back(static_cast<std::int64_t>(share));
    remainders.push_back(share - std::floor(share));
  }
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  const std::int64_t left = options.samples - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (std::int64_t i = 0; i < left; ++i) ++counts[order[static_cast<std::size_t>(i) % order.size()]];
  return counts;
}

}  // namespace lowbit
