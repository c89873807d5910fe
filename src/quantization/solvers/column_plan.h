#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lowbit {

/// In which order columns are solved.
enum class ColumnOrder {
  kNatural,     ///< as they stand
  kByDiagonal,  ///< largest Hessian diagonal first (act_order)
  kInGroups,    ///< largest first inside each group, groups by their largest (act_group_aware)
};

/// The order of the columns of one layer, and the group of each position in it. A position is a place in the order.
struct ColumnPlan {
  std::vector<std::int64_t> column;  ///< by position
  std::vector<std::int32_t> group;   ///< by position
  std::int64_t groups = 1;
  bool natural = true;              ///< `column` is 0, 1, 2 ...
  bool groups_by_position = false;  ///< groups hold neighbours in the order, not neighbours in the matrix
};

/// `diagonal` [in] of the Hessian; `group` columns share parameters, -1 and 0 mean all of them. Equal diagonals keep
/// their natural order. With `kByDiagonal` groups are made of neighbours in the order unless `static_groups`.
[[nodiscard]] ColumnPlan plan_columns(const at::Tensor& diagonal, std::int64_t group, ColumnOrder order,
                                      bool static_groups);

/// A square matrix with rows and columns in the order of the plan.
[[nodiscard]] at::Tensor in_order(const at::Tensor& matrix, const ColumnPlan& plan);
/// The columns of a matrix in the order of the plan, and back.
[[nodiscard]] at::Tensor columns_in_order(const at::Tensor& matrix, const ColumnPlan& plan);
[[nodiscard]] at::Tensor columns_restored(const at::Tensor& matrix, const ColumnPlan& plan);
/// `QuantizedWeight::group_index` of the plan: undefined when columns lie in their groups in order.
[[nodiscard]] at::Tensor group_index(const ColumnPlan& plan);

}  // namespace lowbit
