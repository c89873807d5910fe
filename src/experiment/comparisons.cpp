#include "experiment/comparisons.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "evaluation/choice_metrics.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr double kAlpha = 0.05;

// What was measured of one recipe under one calibration set ("" without), seed by seed.
using Draws = std::map<std::int64_t, const CellResult*>;

// Repetitions of a timing are no sample of what a recipe may do, and their tests would weaken those of quality, with
// which they would be one family.
bool is_timing(const CellResult& cell) { return cell.result.evaluation == "efficiency"; }

// Items carry the parts of the headline, and of the accuracy where the headline is no mean (multiple_choice.cpp).
bool items_grow_better(const EvaluationResult& result) {
  if (result.metrics.empty()) return false;
  const Metric& headline = result.metrics.front();
  return headline.higher_is_better || !is_mean(headline.name);
}

class Comparer {
 public:
  Comparer(const Experiment& experiment, Results& results) : experiment_(experiment), results_(results) {
    for (const CellResult& cell : results.cells) {
      if (is_timing(cell)) continue;
      remember(models_, cell.model);
      remember(evaluations_, cell.evaluation);
      Draws& draws = draws_[{cell.model, cell.evaluation, cell.recipe, cell.calibration}];
      if (!cell.failure) draws[cell.seed] = &cell;
    }
  }

  void compare_with_baseline() {
    for (CellResult& cell : results_.cells) {
      const Draws& baseline = find(cell, Experiment::kBaseline, "");
      if (cell.failure || is_timing(cell) || cell.recipe == Experiment::kBaseline || baseline.empty()) continue;
      cell.against_baseline = compare(cell.result, baseline.begin()->second->result);
      cell.flips = flips_between(cell.result, baseline.begin()->second->result);
    }
    for_each_place([&](Comparison& place) {
      for (const RecipeEntry& recipe : experiment_.recipes) {
        for (const std::string& calibration : calibrations_of(place, recipe.name)) {
          place.calibration = calibration;
          place.first = recipe.name;
          place.second = Experiment::kBaseline;
          add(results_.against_baseline, place, find(place, recipe.name, calibration),
              find(place, Experiment::kBaseline, ""));
        }
      }
    });
    judge(results_.against_baseline, 0, experiment_.margin, Correction::kHolm);
  }

  void contrast(const Contrast& contrast) {
    const std::size_t begin = results_.contrasts.size();
    for_each_place([&](Comparison& place) {
      for_each_pair(contrast.recipes, [&](const std::string& a, const std::string& b) { recipes(place, a, b); });
      for_each_pair(contrast.calibrations,
                    [&](const std::string& a, const std::string& b) { calibrations(place, a, b); });
      own_calibrations(place, contrast.same_distribution);
    });
    judge(results_.contrasts, begin, contrast.margin, contrast.correction);
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string, std::string>;

  static void remember(std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }

  template <typename Place>
  [[nodiscard]] const Draws& find(const Place& place, const std::string& recipe, const std::string& calibration) const {
    static const Draws none;
    const auto found = draws_.find({place.model, place.evaluation, recipe, calibration});
    return found == draws_.end() ? none : found->second;
  }

  // The calibration sets that a recipe was measured under; "" alone when it needs none.
  [[nodiscard]] std::vector<std::string> calibrations_of(const Comparison& place, const std::string& recipe) const {
    std::vector<std::string> names;
    for (const CellResult& cell : results_.cells) {
      if (cell.model == place.model && cell.recipe == recipe) remember(names, cell.calibration);
    }
    return names;
  }

  template <typename Action>
  void for_each_place(Action action) {
    for (const std::string& model : models_) {
      for (const std::string& evaluation : evaluations_) {
        Comparison place;
        place.model = model;
        place.evaluation = evaluation;
        action(place);
      }
    }
  }

  template <typename Action>
  static void for_each_pair(const std::vector<std::string>& names, Action action) {
    for (std::size_t a = 0; a < names.size(); ++a) {
      for (std::size_t b = a + 1; b < names.size(); ++b) action(names[a], names[b]);
    }
  }

  // A recipe without calibration stands beside every calibration set of the other.
  void recipes(Comparison place, const std::string& first, const std::string& second) {
    place.first = first;
    place.second = second;
    const std::vector<std::string> of_first = calibrations_of(place, first);
    const std::vector<std::string> of_second = calibrations_of(place, second);
    const auto needs_none = [](const std::vector<std::string>& names) {
      return names.size() == 1 && names.front().empty();
    };
    for (const std::string& calibration : needs_none(of_first) ? of_second : of_first) {
      place.calibration = calibration;
      add(results_.contrasts, place, find(place, first, needs_none(of_first) ? "" : calibration),
          find(place, second, needs_none(of_second) ? "" : calibration));
    }
  }

  void calibrations(Comparison place, const std::string& first, const std::string& second) {
    place.first = first;
    place.second = second;
    for (const RecipeEntry& recipe : experiment_.recipes) {
      place.recipe = recipe.name;
      add(results_.contrasts, place, find(place, recipe.name, first), find(place, recipe.name, second));
    }
  }

  // On a test that some of the sets are kin to: each of those with each of the others.
  void own_calibrations(Comparison place, const std::vector<OwnTests>& sets) {
    const auto is_own = [&](const OwnTests& set) {
      return std::find(set.evaluations.begin(), set.evaluations.end(), place.evaluation) != set.evaluations.end();
    };
    place.first_is_own = true;
    for (const OwnTests& own : sets) {
      if (!is_own(own)) continue;
      for (const OwnTests& other : sets) {
        if (!is_own(other)) calibrations(place, own.calibration, other.calibration);
      }
    }
  }

  // Paired seed by seed; what has no seeds stands beside each of the other's.
  static void add(std::vector<Comparison>& list, Comparison place, const Draws& first, const Draws& second) {
    if (first.empty() || second.empty()) return;
    const bool first_is_drawn = !first.begin()->second->calibration.empty();
    const bool second_is_drawn = !second.begin()->second->calibration.empty();
    std::vector<std::pair<const EvaluationResult*, const EvaluationResult*>> pairs;
    for (const auto& [seed, cell] : first_is_drawn ? first : second) {
      const auto in = [&](const Draws& draws, bool drawn) { return drawn ? draws.find(seed) : draws.begin(); };
      const auto a = in(first, first_is_drawn);
      const auto b = in(second, second_is_drawn);
      if (a == first.end() || b == second.end()) continue;
      pairs.emplace_back(&a->second->result, &b->second->result);
      place.seeds.push_back(seed);
    }
    if (pairs.empty()) return;
    place.higher_is_better = items_grow_better(*pairs.front().first);
    place.difference = compare(pairs);
    place.scope = place.difference.seeds_are_a_sample ? fmt::format("{} seeds", pairs.size())
                  : pairs.size() == 1                 ? "this checkpoint only"
                                                      : fmt::format("these {} checkpoints only", pairs.size());
    list.push_back(std::move(place));
  }

  // Corrects over what was added from `begin` on: one family for "is there a difference", one for "is it none".
  static void judge(std::vector<Comparison>& list, std::size_t begin, double margin, Correction correction) {
    const auto adjust = correction == Correction::kHolm ? holm_adjust : benjamini_hochberg_adjust;
    std::vector<double> different;
    std::vector<double> equivalent;
    for (std::size_t i = begin; i < list.size(); ++i) {
      different.push_back(list[i].difference.p_value);
      equivalent.push_back(equivalence_p(list[i].difference, margin));
    }
    different = adjust(different);
    equivalent = adjust(equivalent);
    for (std::size_t i = begin; i < list.size(); ++i) {
      Comparison& comparison = list[i];
      comparison.margin = margin;
      comparison.correction = correction;
      comparison.level = kAlpha / static_cast<double>(list.size() - begin);
      comparison.adjusted_p = different[i - begin];
      comparison.adjusted_equivalence_p = equivalent[i - begin];
      comparison.verdict = lowbit::judge(comparison.adjusted_p, comparison.adjusted_equivalence_p, kAlpha);
      comparison.detectable = detectable_difference(comparison.difference, kAlpha);
    }
  }

  const Experiment& experiment_;
  Results& results_;
  std::vector<std::string> models_, evaluations_;
  std::map<Key, Draws> draws_;
};

void check_pair(const EvaluationResult& result, const EvaluationResult& other) {
  if (result.items.size() != other.items.size()) {
    fail(ErrorCode::kData, "'{}' has {} items and {} to compare with: the two were not run on the same data",
         result.label, result.items.size(), other.items.size());
  }
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    if (result.items[i].id == other.items[i].id) continue;
    fail(ErrorCode::kData, "'{}': item '{}' is paired with '{}'", result.label, result.items[i].id, other.items[i].id);
  }
}

}  // namespace

PairedDifference compare(std::span<const std::pair<const EvaluationResult*, const EvaluationResult*>> pairs) {
  const auto is_answer = [](const EvaluationResult::Item& item) { return item.value == 0 || item.value == 1; };
  const auto has_answers = [&](const EvaluationResult& result) {
    return std::all_of(result.items.begin(), result.items.end(), is_answer);
  };
  PairedSample sample{.differences = {}, .weights = {}, .answers = true};
  for (const auto& [first, second] : pairs) {
    check_pair(*first, *second);
    check_pair(*first, *pairs.front().first);
    sample.answers = sample.answers && has_answers(*first) && has_answers(*second);
    std::vector<double>& row = sample.differences.emplace_back();
    for (std::size_t i = 0; i < first->items.size(); ++i) {
      row.push_back(first->items[i].value - second->items[i].value);
    }
  }
  for (const EvaluationResult::Item& item : pairs.front().first->items) sample.weights.push_back(item.weight);
  sample.consecutive = pairs.front().first->consecutive;
  return paired_difference(sample, 1.0 - kAlpha);
}

PairedDifference compare(const EvaluationResult& result, const EvaluationResult& other) {
  const std::pair<const EvaluationResult*, const EvaluationResult*> pair{&result, &other};
  return compare(std::span(&pair, 1));
}

void compare_cells(const Experiment& experiment, Results& results) {
  Comparer comparer(experiment, results);
  comparer.compare_with_baseline();
  for (const Contrast& contrast : experiment.contrasts) comparer.contrast(contrast);
}

}  // namespace lowbit
