#pragma once

#include "lowbit/experiment/experiment.h"

namespace lowbit {

/// Adds a problem for each recipe whose KV cache step no evaluation of the experiment can show.
void check_cache_use(const Experiment& experiment, ConfigProblems& problems);

}  // namespace lowbit
