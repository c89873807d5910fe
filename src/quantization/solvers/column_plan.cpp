#include "quantization/solvers/column_plan.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

void sort_by_diagonal(std::span<std::int64_t> columns, std::span<const double> diagonal) {
  std::stable_sort(columns.begin(), columns.end(), [&](std::int64_t a, std::int64_t b) {
    return diagonal[static_cast<std::size_t>(a)] > diagonal[static_cast<std::size_t>(b)];
  });
}

// Sorts inside each group, then the groups by their first, which is their largest.
std::vector<std::int64_t> order_in_groups(std::vector<std::int64_t> columns, std::int64_t group,
                                          std::span<const double> diagonal) {
  std::vector<std::span<std::int64_t>> parts;
  const auto width = static_cast<std::size_t>(group);
  for (std::size_t begin = 0; begin < columns.size(); begin += width) {
    parts.push_back(std::span(columns).subspan(begin, std::min(width, columns.size() - begin)));
    sort_by_diagonal(parts.back(), diagonal);
  }
  std::stable_sort(parts.begin(), parts.end(), [&](const auto& a, const auto& b) {
    return diagonal[static_cast<std::size_t>(a[0])] > diagonal[static_cast<std::size_t>(b[0])];
  });
  std::vector<std::int64_t> result;
  for (const auto& part : parts) result.insert(result.end(), part.begin(), part.end());
  return result;
}

at::Tensor order_of(const ColumnPlan& plan) { return tensor_of(std::span<const std::int64_t>(plan.column)); }

}  // namespace

ColumnPlan plan_columns(const at::Tensor& diagonal, std::int64_t group, ColumnOrder order, bool static_groups) {
  const at::Tensor values = diagonal.contiguous();
  const std::span<const double> numbers = values_of<double>(values);
  const auto size = static_cast<std::int64_t>(numbers.size());
  const std::int64_t width = group > 0 ? group : size;
  ColumnPlan plan;
  plan.groups = (size + width - 1) / width;
  plan.column.resize(numbers.size());
  std::iota(plan.column.begin(), plan.column.end(), 0);
  if (order == ColumnOrder::kByDiagonal) sort_by_diagonal(plan.column, numbers);
  if (order == ColumnOrder::kInGroups) plan.column = order_in_groups(plan.column, width, numbers);
  plan.natural = std::is_sorted(plan.column.begin(), plan.column.end());
  plan.groups_by_position = order == ColumnOrder::kByDiagonal && !static_groups && plan.groups > 1;
  for (std::int64_t position = 0; position < size; ++position) {
    const std::int64_t place = plan.groups_by_position ? position : plan.column[static_cast<std::size_t>(position)];
    plan.group.push_back(static_cast<std::int32_t>(place / width));
  }
  return plan;
}

at::Tensor in_order(const at::Tensor& matrix, const ColumnPlan& plan) {
  if (plan.natural) return matrix;
  const at::Tensor order = order_of(plan).to(matrix.device());
  return matrix.index_select(0, order).index_select(1, order);
}

at::Tensor columns_in_order(const at::Tensor& matrix, const ColumnPlan& plan) {
  return plan.natural ? matrix : matrix.index_select(1, order_of(plan));
}

at::Tensor columns_restored(const at::Tensor& matrix, const ColumnPlan& plan) {
  return plan.natural ? matrix : matrix.index_select(1, order_of(plan).argsort());
}

at::Tensor group_index(const ColumnPlan& plan) {
  if (!plan.groups_by_position || plan.natural) return {};
  std::vector<std::int32_t> index(plan.column.size());
  for (std::size_t position = 0; position < plan.column.size(); ++position) {
    index[static_cast<std::size_t>(plan.column[position])] = plan.group[position];
  }
  return tensor_of(std::span<const std::int32_t>(index));
}

}  // namespace lowbit
