#include "lowbit/report/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/rows.h"

namespace lowbit {
namespace {

// What a reader must know of an evaluation before believing its numbers. The table's label names dataset and protocol,
// and a terminal has no room for hashes.
std::string facts_line(const Results& results, const std::string& evaluation, bool brief) {
  for (const CellResult& cell : results.cells) {
    if (cell.evaluation != evaluation || cell.failure) continue;
    std::string line = cell.result.protocol.empty() ? "" : "protocol " + cell.result.protocol;
    for (const auto& [key, value] : cell.result.facts) {
      if (brief && (key == "corpus" || key == "dataset" || key == "window length")) continue;
      if (key == kCacheFact) continue;  // each row's own
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", key, value);
    }
    return line;
  }
  return "";
}

Table table_of(const Results& results, const std::string& evaluation) {
  return is_efficiency(results, evaluation) ? efficiency_table(results, evaluation)
                                            : evaluation_table(results, evaluation);
}

/// Why no data of this size could have shown a difference.
std::string reach_text(const Comparison& comparison) {
  if (comparison.level_can_be_reached()) return "";
  const PairedDifference& difference = comparison.difference;
  const std::string of = difference.changed
                             ? fmt::format("{} changed answers", difference.changed->gained + difference.changed->lost)
                             : fmt::format("{} items", difference.n);
  return fmt::format("p of {} is {:.2g} at least, the level {:.2g}; ", of, difference.least_p(), comparison.level);
}

std::string verdict_text(const Comparison& comparison) {
  switch (comparison.verdict) {
    case Verdict::kDifferent: return "different";
    case Verdict::kEquivalent: return fmt::format("equivalent within {}", comparison.margin);
    case Verdict::kUndecided:
      return fmt::format("undecided ({}detectable: {:.3g})", reach_text(comparison), comparison.detectable);
  }
  return "";
}

Table contrast_table(const Results& results) {
  Table table({"contrast", "evaluation", "calibration", "difference [95 %]", "adjusted p", "verdict", "scope"});
  for (const Comparison& contrast : results.contrasts) {
    const std::string of = contrast.recipe.empty() ? "" : contrast.recipe + ": ";
    const bool undrawn = contrast.recipe.empty() && contrast.calibration.empty();
    table.add({fmt::format("{}{} - {}", of, contrast.first, contrast.second), contrast.evaluation,
               !contrast.recipe.empty() ? "as named"
               : undrawn                ? "-"
                                        : contrast.calibration,
               fmt::format("{:+.4f} [{:+.4f}, {:+.4f}]", contrast.difference.difference, contrast.difference.low,
                           contrast.difference.high),
               fmt::format("{:.2g}{}", contrast.adjusted_p, contrast.correction == Correction::kHolm ? "" : " (BH)"),
               verdict_text(contrast), contrast.scope});
  }
  return table;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "-" : text;
}

Table own_calibration_table(const std::vector<OwnCalibration>& list) {
  Table table({"test", "recipe", "calibrated on its own kind", "is", "better than", "worse than", "undecided"});
  for (const OwnCalibration& own : list) {
    table.add({own.evaluation, own.recipe, own.calibration, std::string(answer_name(own.answer())),
               joined(own.better_than), joined(own.worse_than), joined(own.undecided)});
  }
  return table;
}

std::string own_calibration_sentence(const std::vector<OwnCalibration>& list) {
  const auto count = [&](OwnCalibration::Answer answer) {
    return std::count_if(list.begin(), list.end(), [&](const OwnCalibration& own) { return own.answer() == answer; });
  };
  return fmt::format("Calibrating on the test's own kind of data: best {} times of {}, not best {}, undecided {}.",
                     count(OwnCalibration::Answer::kBest), list.size(), count(OwnCalibration::Answer::kNotBest),
                     count(OwnCalibration::Answer::kUndecided));
}

Table facts_table(const std::string& heading, const std::vector<std::pair<std::string, std::string>>& facts) {
  Table table({heading, ""});
  for (const auto& [key, value] : facts) table.add({key, value});
  return table;
}

std::vector<std::string> failure_lines(const Results& results) {
  std::vector<std::string> lines;
  for (const CellResult& cell : results.cells) {
    if (!cell.failure) continue;
    lines.push_back(fmt::format("{}{} on {}, seed {}: {}", cell.recipe,
                                cell.calibration.empty() ? "" : " (calibration " + cell.calibration + ")",
                                cell.evaluation, cell.seed, *cell.failure));
  }
  return lines;
}

// What the intervals of this report speak of.
std::string how_to_read(const Results& results) {
  const auto some = [&](bool sample) {
    return std::any_of(results.against_baseline.begin(), results.against_baseline.end(), [&](const Comparison& row) {
      return row.difference.seeds_are_a_sample == sample && !(sample == false && row.calibration.empty());
    });
  };
  std::string text =
      "Differences are paired over the evaluation's own units (windows of one text in moving blocks, documents or "
      "items "
      "one by one); intervals are 95 % t intervals, of one checkpoint's right and wrong answers 95 % score intervals. "
      "\"n.s.\" marks those that Holm's correction over all comparisons "
      "with float leaves undecided, \"equiv.\" those that are inside the margin set beforehand. ";
  if (some(true)) {
    text += fmt::format(
        "Rows with {} seeds and more resample seeds and units crossed: their intervals hold for further draws of the "
        "calibration data. ",
        kLeastSeeds);
  }
  if (some(false)) {
    text += fmt::format(
        "Rows with fewer than {} seeds, \"(fixed)\" where there are several, describe the checkpoints that were "
        "measured, not the method. ",
        kLeastSeeds);
  }
  return text;
}

}  // namespace

std::string terminal_table(const Results& results, bool color) {
  std::string out;
  for (const Results::ModelFacts& model : results.models) {
    for (const std::string& remark : model.remarks) out += fmt::format("note: {}: {}\n", model.name, remark);
  }
  for (const CalibrationOverlap& overlap : results.overlaps) out += "note: " + overlap.text() + "\n";
  for (const std::string& evaluation : evaluation_labels(results)) {
    out += fmt::format("\n{}  ({})\n", evaluation, facts_line(results, evaluation, true));
    out += table_of(results, evaluation).plain();
  }
  if (!results.contrasts.empty()) out += "\ncontrasts\n" + contrast_table(results).plain();
  if (const auto own = own_calibrations(results.contrasts); !own.empty()) {
    out += fmt::format("\n{}\n{}", own_calibration_sentence(own), own_calibration_table(own).plain());
  }
  if (has_products(results)) out += "\nproducts with quantized weights\n" + products_table(results).plain();
  for (const std::string& line : failure_lines(results))
    out += fmt::format("{}failed: {}{}\n", color ? "\x1b[31m" : "", line, color ? "\x1b[0m" : "");
  return out;
}

std::string markdown_report(const Results& results) {
  std::string out = fmt::format("# {}\n\n", results.experiment);
  for (const Results::ModelFacts& model : results.models) {
    out += fmt::format("- model `{}`: {}, hash `{}`\n", model.name, model.format, model.hash);
    for (const std::string& remark : model.remarks) out += fmt::format("  - **{}**\n", remark);
  }
  out += fmt::format("- config hash `{}`\n\n", results.config_hash);
  for (const std::string& evaluation : evaluation_labels(results)) {
    out += fmt::format("## {}\n\n{}\n\n{}\n", evaluation, facts_line(results, evaluation, false),
                       table_of(results, evaluation).markdown());
  }
  if (!results.against_baseline.empty()) out += how_to_read(results) + "\n\n";
  if (!results.contrasts.empty()) out += "## Contrasts\n\n" + contrast_table(results).markdown() + "\n";
  if (const auto own = own_calibrations(results.contrasts); !own.empty()) {
    out += fmt::format("## Is calibrating on the test's own kind of data best?\n\n{}\n\n{}\n",
                       own_calibration_sentence(own), own_calibration_table(own).markdown());
  }
  if (has_products(results)) {
    out += fmt::format("## How quantized products ran\n\n{}\n\n{}\n", products_note(results),
                       products_table(results).markdown());
  }
  if (!results.overlaps.empty()) {
    out += "## Calibration documents that stand in tests\n\n";
    for (const CalibrationOverlap& overlap : results.overlaps) out += "- " + overlap.text() + "\n";
    out += "\n";
  }
  out += "## What was stored and what it cost\n\n" + storage_table(results).markdown() + "\n";
  if (const auto failures = failure_lines(results); !failures.empty()) {
    out += "## Failed cells\n\n";
    for (const std::string& line : failures) out += "- " + line + "\n";
    out += "\n";
  }
  out += "## Machine and build\n\n" + facts_table("machine", results.machine).markdown() + "\n" +
         facts_table("build", results.build).markdown();
  return out;
}

}  // namespace lowbit
