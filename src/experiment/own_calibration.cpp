#include <algorithm>

#include "lowbit/experiment/results.h"

namespace lowbit {

OwnCalibration::Answer OwnCalibration::answer() const {
  if (!worse_than.empty()) return Answer::kNotBest;
  return undecided.empty() ? Answer::kBest : Answer::kUndecided;
}

std::string_view answer_name(OwnCalibration::Answer answer) {
  switch (answer) {
    case OwnCalibration::Answer::kBest: return "best";
    case OwnCalibration::Answer::kNotBest: return "not best";
    case OwnCalibration::Answer::kUndecided: return "undecided";
  }
  return "";
}

std::vector<OwnCalibration> own_calibrations(const std::vector<Comparison>& contrasts) {
  std::vector<OwnCalibration> found;
  for (const Comparison& comparison : contrasts) {
    if (!comparison.first_is_own) continue;
    const auto is_its = [&](const OwnCalibration& own) {
      return own.model == comparison.model && own.evaluation == comparison.evaluation &&
             own.recipe == comparison.recipe && own.calibration == comparison.first;
    };
    auto own = std::find_if(found.begin(), found.end(), is_its);
    if (own == found.end()) {
      found.push_back({comparison.model, comparison.evaluation, comparison.recipe, comparison.first, {}, {}, {}});
      own = found.end() - 1;
    }
    // What is equivalent within a margin is not better: no claim rests on it.
    const bool better = (comparison.difference.difference > 0) == comparison.higher_is_better;
    auto& list = comparison.verdict != Verdict::kDifferent ? own->undecided
                 : better                                  ? own->better_than
                                                           : own->worse_than;
    list.push_back(comparison.second);
  }
  return found;
}

}  // namespace lowbit
