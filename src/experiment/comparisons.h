#pragma once

#include "lowbit/experiment/experiment.h"
#include "lowbit/experiment/results.h"

namespace lowbit {

/// Fills in `against_baseline` of the cells and of the results, and the contrasts, from the cells that were done.
void compare_cells(const Experiment& experiment, Results& results);

}  // namespace lowbit
