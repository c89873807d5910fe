#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "lowbit/base/error.h"
#include "lowbit/calibration/calibration_set.h"

namespace lowbit {
namespace {

struct CalibrationFields {
  CalibrationOptions options;
  CalibrationPart single;
  ConfigNode mix;

  void visit(FieldVisitor& v) {
    v.field("name", options.name, "how tables call the set; by default the datasets' names joined by '+'");
    single.visit_source(v);
    v.field("mix", mix, "in place of dataset: a list of parts, each with these fields and a 'weight' or 'count'");
    v.field("samples", options.samples, "number of sequences", {1, 1000000});
    v.field("length", options.length, "tokens of a sequence", {2, 1 << 20});
    v.choice("order", options.order, {"shuffle", "length", "drawn"},
             "of the sequences: shuffled by the seed, the longest first, or as they were drawn");
  }
};

std::string text_of(const CalibrationPart& part) {
  std::string text = fmt::format("'{}' ({}", part.dataset, part.split);
  for (const std::string& group : part.groups) text += ", " + group;
  return text + ")";
}

bool same_source(const CalibrationPart& a, const CalibrationPart& b) {
  return a.dataset == b.dataset && a.split == b.split && a.groups == b.groups && a.form == b.form &&
         a.answers == b.answers && a.chat == b.chat;
}

void decode_mix(const ConfigNode& mix, CalibrationOptions& options, ConfigProblems& problems) {
  if (!mix.is_sequence() || mix.items().empty()) {
    problems.add(mix.mark(), "'mix' must be a list such as [{dataset: a, weight: 0.5}, {dataset: b, weight: 0.5}]");
    return;
  }
  for (const ConfigNode& item : mix.items()) {
    CalibrationPart part;
    decode_fields(item, part, problems);
    if (std::any_of(options.parts.begin(), options.parts.end(),
                    [&](const CalibrationPart& other) { return same_source(part, other); })) {
      problems.add(item.mark(),
                   fmt::format("{} is in the mix already; give it once, with its whole weight", text_of(part)));
    }
    if (part.count > 0 && item.find("weight") != nullptr) {
      problems.add(item.mark(), fmt::format("{} has both 'count' and 'weight'; give one of them", text_of(part)));
    }
    options.parts.push_back(std::move(part));
  }
}

/// With counts the number of sequences is their sum.
void sum_counts(const ConfigNode& node, CalibrationOptions& options, ConfigProblems& problems) {
  const auto has_count = [](const CalibrationPart& part) { return part.count > 0; };
  if (std::none_of(options.parts.begin(), options.parts.end(), has_count)) return;
  const auto without = std::find_if_not(options.parts.begin(), options.parts.end(), has_count);
  if (without != options.parts.end()) {
    problems.add(node.mark(),
                 fmt::format("{} has no 'count'; give one to every part of the mix, or to none", text_of(*without)));
    return;
  }
  std::int64_t sum = 0;
  for (const CalibrationPart& part : options.parts) sum += part.count;
  if (node.find("samples") != nullptr && sum != options.samples) {
    problems.add(node.mark(), fmt::format("the counts of the mix make {} sequences, 'samples' is {}; leave it out", sum,
                                          options.samples));
  }
  options.samples = sum;
}

void check_shares(const CalibrationOptions& options, const SourceMark& mark, ConfigProblems& problems) {
  const std::vector<std::int64_t> counts = samples_of_parts(options);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) continue;
    problems.add(mark, fmt::format("'{}' would give none of {} samples; raise its weight or 'samples'",
                                   options.parts[i].dataset, options.samples));
  }
}

template <typename Options, typename Wanted>
ConfigNode echo_some(const Options& options, Wanted wanted) {
  std::vector<ConfigNode::Entry> entries = echo_fields(options).entries();
  std::erase_if(entries, [&](const ConfigNode::Entry& entry) { return !wanted(entry.key.text()); });
  return ConfigNode::map(std::move(entries));
}

/// A count stands in place of a weight.
ConfigNode echo_part(const CalibrationPart& part) {
  return echo_some(part, [&](const std::string& key) { return key != (part.count > 0 ? "weight" : "count"); });
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

void CalibrationPart::visit_source(FieldVisitor& v) {
  v.field("dataset", dataset, "dataset's name, or path of a definition or text file");
  v.field("split", split, "split of the dataset");
  v.field("groups", groups, "of a task: only these subjects or domains");
  v.choice("form", form, {"windows", "packed", "examples"},
           "windows of the joined text; documents one behind the other, cut into sequences; a document a sequence");
  v.field("answers", answers, "of a task: questions with their right answers, or without");
  v.field("balanced", balanced, "of a task with groups, not for windows: as many documents of each group");
  v.choice("pick", in_order, {"random", "first"}, "which windows or documents: drawn by the seed, or the first ones");
  v.field("chat", chat,
          "of a task, not for windows: the question as a user's turn, the answer as the model's, in the "
          "form of the model's chat template");
}

void CalibrationPart::visit(FieldVisitor& v) {
  v.required("dataset");
  visit_source(v);
  v.field("weight", weight, "share of the sequences, relative to the other parts", {0.0, 1e9});
  v.field("count", count, "number of sequences, in place of a weight; 0: by weight", {0, 1000000});
}

void CalibrationPart::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (!(weight > 0)) problems.add(mark, fmt::format("'weight' of '{}' must be more than 0, got {}", dataset, weight));
  if (balanced && form == CalibrationForm::kWindows) {
    problems.add(mark, fmt::format("'balanced' of '{}' needs 'form: packed' or 'form: examples': windows of the joined "
                                   "text belong to no group",
                                   dataset));
  }
  if (chat && form == CalibrationForm::kWindows) {
    problems.add(mark,
                 fmt::format("'chat' of '{}' needs 'form: packed' or 'form: examples': windows of the joined text "
                             "have no turns",
                             dataset));
  }
}

CalibrationOptions decode_calibration(const ConfigNode& node, ConfigProblems& problems) {
  const std::size_t before = problems.size();
  CalibrationFields fields;
  decode_fields(node, fields, problems);
  if (problems.size() != before) return fields.options;
  CalibrationOptions& options = fields.options;
  if (fields.mix.is_null() == fields.single.dataset.empty()) {
    problems.add(node.mark(), "a calibration set needs either 'dataset' or 'mix'");
  } else if (fields.mix.is_null()) {
    fields.single.validate(problems, node.mark());
    options.parts.push_back(fields.single);
  } else {
    for (const char* key : {"split", "groups", "form", "answers", "balanced", "pick", "chat"}) {
      if (node.find(key) != nullptr) problems.add(node.mark(), fmt::format("'{}' belongs to each part of 'mix'", key));
    }
    decode_mix(fields.mix, options, problems);
    if (problems.size() == before) sum_counts(node, options, problems);
  }
  if (problems.size() != before) return options;
  check_shares(options, node.mark(), problems);
  if (options.name.empty()) options.name = default_name(options);
  return options;
}

ConfigNode echo_calibration(const CalibrationOptions& options) {
  const bool mixed = options.parts.size() > 1;
  CalibrationFields fields{.options = options, .single = options.parts.front(), .mix = {}};
  std::vector<ConfigNode> parts;
  for (const CalibrationPart& part : options.parts) parts.push_back(echo_part(part));
  fields.mix = ConfigNode::sequence(std::move(parts));
  return echo_some(fields, [&](const std::string& key) {
    const bool of_set = key == "name" || key == "samples" || key == "length" || key == "order";
    return of_set || (key == "mix") == mixed;
  });
}

std::vector<std::int64_t> samples_of_parts(const CalibrationOptions& options) {
  if (options.parts.front().count > 0) {
    std::vector<std::int64_t> given;
    for (const CalibrationPart& part : options.parts) given.push_back(part.count);
    return given;
  }
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
