#pragma once

#include <vector>

#include "lowbit/experiment/experiment.h"

namespace lowbit {

/// The items of the list `contrasts`, of which each names recipes, calibration sets and evaluations of the experiment;
/// mistakes are added to `problems`.
[[nodiscard]] std::vector<Contrast> decode_contrasts(const ConfigNode& list, const Experiment& experiment,
                                                     ConfigProblems& problems);

}  // namespace lowbit
