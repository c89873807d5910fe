#include "quantization/solvers/sweep_parts.h"

#include <algorithm>
#include <span>

#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

// Column `group` of `target` [all rows, groups], from the rows of `place` on.
void put_column(const at::Tensor& values, const SweepPlace& place, at::Tensor& target) {
  const std::span<const float> source = values_of<float>(values);
  const std::int64_t groups = target.size(1);
  float* first = mutable_values_of<float>(target).data() + place.first_row * groups + place.group;
  for (std::int64_t row = 0; row < place.rows; ++row) first[row * groups] = source[static_cast<std::size_t>(row)];
}

void put_nested(const NestedScales& found, const SweepPlace& place, NestedScales& target) {
  const std::int64_t run = place.first_row / target.run;
  const auto put = [&](const at::Tensor& values, std::int64_t first, at::Tensor& into) {
    into.narrow(0, first, values.size(0)).select(1, place.group).copy_(values.select(1, 0));
  };
  put(found.codes, place.first_row, target.codes);
  put(found.scales, run, target.scales);
  put(found.zeros, run, target.zeros);
}

}  // namespace

std::int64_t chunk_end(const SweepRequest& request, std::int64_t begin) {
  const std::int64_t limit = std::min(request.weight.size(1), (begin / request.block + 1) * request.block);
  return request.source == GroupSource::kFresh ? group_end(*request.plan, begin, limit) : limit;
}

std::int64_t group_end(const ColumnPlan& plan, std::int64_t begin, std::int64_t limit) {
  std::int64_t end = begin + 1;
  while (end < limit && !starts_group(plan, end)) ++end;
  return end;
}

bool starts_group(const ColumnPlan& plan, std::int64_t position) {
  const auto group = plan.group.begin() + static_cast<std::ptrdiff_t>(position);
  return position == 0 || *group != *(group - 1);
}

void put_parameters(const GroupParameters& found, const SweepPlace& place, SweepResult& result) {
  put_column(found.scales, place, result.scales);
  if (found.zeros.defined()) put_column(found.zeros, place, result.zeros);
  if (result.nested_scales) put_nested(*found.nested_scales, place, *result.nested_scales);
  if (result.nested_zeros) put_nested(*found.nested_zeros, place, *result.nested_zeros);
}

}  // namespace lowbit
