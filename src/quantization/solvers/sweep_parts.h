#pragma once

#include <cstdint>

#include "quantization/solvers/column_sweep.h"

namespace lowbit {

/// Where the chunk of columns ends that begins at `begin`: at a block boundary, with fresh parameters also where a
/// group starts, so that at a group's start every update of the columns before it has arrived in all of its columns.
[[nodiscard]] std::int64_t chunk_end(const SweepRequest& request, std::int64_t begin);

/// Where the group ends that has the column at `begin`, or `limit` if it goes on there.
[[nodiscard]] std::int64_t group_end(const ColumnPlan& plan, std::int64_t begin, std::int64_t limit);
[[nodiscard]] bool starts_group(const ColumnPlan& plan, std::int64_t position);

/// Columns [begin, end): halved until at most `leaf` are left, which `solve(begin, end)` takes; `spread(begin, middle,
/// end)` brings what the first half changes to the second, so that most updates are products of matrices.
template <typename Solve, typename Spread>
void solve_by_halves(std::int64_t begin, std::int64_t end, std::int64_t leaf, const Solve& solve,
                     const Spread& spread) {
  if (end - begin <= leaf) return solve(begin, end);
  const std::int64_t middle = begin + (end - begin) / 2;
  solve_by_halves(begin, middle, leaf, solve, spread);
  spread(begin, middle, end);
  solve_by_halves(middle, end, leaf, solve, spread);
}

/// Puts what `fit` has found for the rows of `place` into the result.
void put_parameters(const GroupParameters& found, const SweepPlace& place, SweepResult& result);

}  // namespace lowbit
