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

/// Puts what `fit` has found for the rows of `place` into the result.
void put_parameters(const GroupParameters& found, const SweepPlace& place, SweepResult& result);

}  // namespace lowbit
