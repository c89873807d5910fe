#pragma once

#include "kernels/cuda/layout.h"

// Runs of at most eight steps that never cross a group's end, as on the CPU (tiles.h): a group has the same number of
// them as every other, though of the last group some may be missing.
namespace lowbit::kernels::cuda {

LOWBIT_HOST_DEVICE constexpr int runs_of_group(int group_steps) { return (group_steps + kRunSteps - 1) / kRunSteps; }
LOWBIT_HOST_DEVICE constexpr int runs_of(int groups, int group_steps) { return groups * runs_of_group(group_steps); }

/// Steps of a run; none for one that the last group lacks.
struct RunSteps {
  int first;
  int count;
  LOWBIT_HOST_DEVICE RunSteps(int run, int group_steps, int steps) {
    const int group = run / runs_of_group(group_steps);
    const int group_end = (group + 1) * group_steps < steps ? (group + 1) * group_steps : steps;
    first = group * group_steps + run % runs_of_group(group_steps) * kRunSteps;
    count = group_end - first < kRunSteps ? group_end - first : kRunSteps;
    if (count < 0) count = 0;
  }
};

/// Walks steps in order and says which end a run, and which a group.
struct RunCursor {
  int group;
  int in_group;    ///< the run's number within it
  int run_left;    ///< steps still to come of the run
  int group_left;  ///< steps still to come of the group

  LOWBIT_HOST_DEVICE RunCursor(int step, int group_steps)
      : group(step / group_steps), in_group(0), run_left(0), group_left(0) {
    const int within = step % group_steps;
    in_group = within / kRunSteps;
    group_left = group_steps - within;
    run_left = kRunSteps - within % kRunSteps;
  }
  /// Whether the step that the cursor stands on is the last one of its run.
  LOWBIT_HOST_DEVICE bool ends_run() const { return run_left == 1 || group_left == 1; }
  LOWBIT_HOST_DEVICE bool ends_group() const { return group_left == 1; }
  LOWBIT_HOST_DEVICE void advance(int group_steps) {
    if (ends_group()) {
      ++group;
      in_group = 0;
      group_left = group_steps;
      run_left = kRunSteps;
      return;
    }
    --group_left;
    if (--run_left == 0) {
      ++in_group;
      run_left = kRunSteps;
    }
  }
};

}  // namespace lowbit::kernels::cuda
