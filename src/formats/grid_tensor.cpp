// The grid functions of quantized_weight.h: tensors in, rows handed to GroupGrid in parallel, tensors out.
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "formats/grid_fit.h"
#include "lowbit/base/error.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

at::Tensor as_matrix(const at::Tensor& tensor, DType type) {
  if (tensor.dim() != 2) {
    fail(ErrorCode::kInternal, "grid: a weight of {} dimensions, expected [out, columns]", tensor.dim());
  }
  return to_dtype(tensor.detach(), type).contiguous();
}

at::Tensor as_vector(const at::Tensor& tensor, std::int64_t size) {
  if (tensor.dim() != 1 || tensor.size(0) != size) {
    fail(ErrorCode::kInternal, "grid: scales or zeros {}, expected [{}]", shape_text(shape_of(tensor)), size);
  }
  return to_dtype(tensor.detach(), DType::kFloat32).contiguous();
}

// A row at a time, so that the work of one part is worth a thread.
std::int64_t rows_per_part(std::int64_t columns) {
  return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, columns));
}

void require_finite(const at::Tensor& matrix) {
  if (all_finite(matrix)) return;
  const std::span<const float> values = values_of<float>(matrix);
  const std::int64_t columns = matrix.size(1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    const auto place = static_cast<std::int64_t>(i);
    fail(ErrorCode::kData, "weight at row {}, column {} is {}; only finite weights can be quantized", place / columns,
         place % columns, values[i]);
  }
}

// Gives groups without a weight the least scale of their run, so that they do not widen its range.
void settle_empty_scales(std::span<GroupFit> fits, std::size_t run) {
  for (std::size_t first = 0; first < fits.size(); first += run) {
    const auto part = fits.subspan(first, std::min(run, fits.size() - first));
    float least = std::numeric_limits<float>::infinity();
    for (const GroupFit& fit : part) {
      if (!fit.empty) least = std::min(least, fit.scale);
    }
    for (GroupFit& fit : part) {
      if (fit.empty && std::isfinite(least)) fit.scale = least;
    }
  }
}

// The scales of one group column, nested, and the zeros that follow from them.
void nest_column(std::span<GroupFit> fits, const GroupGrid& group_grid, const GridSpec& grid, GroupParameters& out) {
  settle_empty_scales(fits, static_cast<std::size_t>(grid.nested_run));
  std::vector<float> values(fits.size());
  std::transform(fits.begin(), fits.end(), values.begin(), [](const GroupFit& fit) { return fit.scale; });
  out.nested_scales = nest_values(values, grid);
  for (std::size_t row = 0; row < fits.size(); ++row) {
    fits[row].scale = values[row];
    values[row] = fits[row].zero = group_grid.zero_for(fits[row].low, values[row]);
  }
  if (grid.kind != GridKind::kOffset) return;
  out.nested_zeros = nest_values(values, grid);
  for (std::size_t row = 0; row < fits.size(); ++row) fits[row].zero = values[row];
}

GroupFit fit_group(const GroupGrid& grid, std::span<const float> values, const ClipSearch* search) {
  return search != nullptr ? grid.fit_clipped(values, *search) : grid.fit_min_max(values);
}

void check_search(const ClipSearch& search) {
  if (search.grid_steps < 1 || !(search.max_shrink > 0.0 && search.max_shrink <= 1.0) ||
      !(search.norm > 0.0 && search.norm <= 8.0)) {
    fail(ErrorCode::kConfig,
         "clip search: {} steps, shrink {}, norm {}; expected at least 1 step, shrink in (0, 1], norm in (0, 8]",
         search.grid_steps, search.max_shrink, search.norm);
  }
}

}  // namespace

std::vector<float> fit_row_scales(const at::Tensor& weight, const GridSpec& grid) {
  std::vector<float> result;
  if (grid.scale_type != ScaleType::kUint8) return result;
  const at::Tensor matrix = as_matrix(weight, DType::kFloat32);
  const auto columns = static_cast<std::size_t>(matrix.size(1));
  const auto values = values_of<float>(matrix);
  for (std::size_t at = 0; at < values.size(); at += columns) {
    result.push_back(fit_row_scale(values.subspan(at, columns)));
  }
  return result;
}

GroupParameters fit_part(const at::Tensor& weight, const GridSpec& grid, const ClipSearch* search,
                         std::span<const float> row_scales) {
  if (search != nullptr) check_search(*search);
  const GroupGrid group_grid(grid);
  const at::Tensor matrix = as_matrix(weight, DType::kFloat32);
  const std::int64_t rows = matrix.size(0);
  const std::int64_t columns = matrix.size(1);
  const std::span<const float> values = values_of<float>(matrix);
  require_finite(matrix);
  std::vector<GroupFit> fits(static_cast<std::size_t>(rows));
  parallel_for(rows, rows_per_part(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const auto at = static_cast<std::size_t>(row);
      const auto part = values.subspan(static_cast<std::size_t>(row * columns), static_cast<std::size_t>(columns));
      fits[at] = row_scales.empty() ? fit_group(group_grid, part, search)
                                    : fit_group(GroupGrid(row_grid(grid, row_scales[at])), part, search);
    }
  });
  GroupParameters result{make_empty({rows}, DType::kFloat32), {}, {}, {}};
  if (grid.nested_bits > 0) nest_column(fits, group_grid, grid, result);
  if (grid.kind != GridKind::kCodebook) result.zeros = make_empty({rows}, DType::kFloat32);
  for (std::size_t row = 0; row < fits.size(); ++row) {
    mutable_values_of<float>(result.scales)[row] = fits[row].scale;
    if (result.zeros.defined()) mutable_values_of<float>(result.zeros)[row] = fits[row].zero;
  }
  return result;
}

GroupParameters fit_min_max(const at::Tensor& weight, const GridSpec& grid) {
  return fit_part(weight, grid, nullptr, {});
}

GroupParameters fit_clipped(const at::Tensor& weight, const GridSpec& grid, const ClipSearch& search) {
  return fit_part(weight, grid, &search, {});
}

at::Tensor encode_columns(const at::Tensor& weight, const GroupParameters& parameters, const GridSpec& grid) {
  const GroupGrid group_grid(grid);
  const at::Tensor matrix = as_matrix(weight, DType::kFloat32);
  const std::int64_t rows = matrix.size(0);
  const auto columns = static_cast<std::size_t>(matrix.size(1));
  const at::Tensor scales = as_vector(parameters.scales, rows);
  const at::Tensor zeros =
      parameters.zeros.defined() ? as_vector(parameters.zeros, rows) : make_zeros({rows}, DType::kFloat32);
  at::Tensor codes = make_empty(shape_of(matrix), DType::kUInt8);
  const auto values = values_of<float>(matrix);
  const auto scale = values_of<float>(scales);
  const auto zero = values_of<float>(zeros);
  const auto out = mutable_values_of<std::uint8_t>(codes);
  parallel_for(rows, rows_per_part(matrix.size(1)), [&](std::int64_t begin, std::int64_t end) {
    for (auto row = static_cast<std::size_t>(begin); row < static_cast<std::size_t>(end); ++row) {
      group_grid.encode(values.subspan(row * columns, columns), {scale[row], zero[row]}, out.data() + row * columns);
    }
  });
  return codes;
}

at::Tensor decode_columns(const at::Tensor& codes, const GroupParameters& parameters, const GridSpec& grid) {
  const GroupGrid group_grid(grid);
  const at::Tensor matrix = as_matrix(codes, DType::kUInt8);
  const std::int64_t rows = matrix.size(0);
  const auto columns = static_cast<std::size_t>(matrix.size(1));
  const at::Tensor scales = as_vector(parameters.scales, rows);
  const at::Tensor zeros =
      parameters.zeros.defined() ? as_vector(parameters.zeros, rows) : make_zeros({rows}, DType::kFloat32);
  at::Tensor weight = make_empty(shape_of(matrix), DType::kFloat32);
  const auto in = values_of<std::uint8_t>(matrix);
  const auto scale = values_of<float>(scales);
  const auto zero = values_of<float>(zeros);
  const auto out = mutable_values_of<float>(weight);
  parallel_for(rows, rows_per_part(matrix.size(1)), [&](std::int64_t begin, std::int64_t end) {
    for (auto row = static_cast<std::size_t>(begin); row < static_cast<std::size_t>(end); ++row) {
      const GroupFit fit{scale[row], zero[row]};
      for (std::size_t i = row * columns; i < (row + 1) * columns; ++i) out[i] = group_grid.decode(in[i], fit);
    }
  });
  return weight;
}

at::Tensor round_scales(const at::Tensor& scales, ScaleType type) {
  at::Tensor rounded = to_dtype(scales.detach(), DType::kFloat32).contiguous().clone();
  for (float& scale : mutable_values_of<float>(rounded)) scale = round_scale(scale, type);
  return rounded;
}

GridSpec bind_grid(const GridSpec& grid, const at::Tensor& weight) {
  if (grid.scale_type != ScaleType::kE4M3) return grid;
  GridSpec bound = grid;
  const at::Tensor matrix = as_matrix(weight, DType::kFloat32);
  float largest = 0.0F;
  for (const float value : values_of<float>(matrix)) largest = std::max(largest, std::abs(value));
  // The largest code of a symmetric grid, in steps.
  const float half = static_cast<float>(1 << (grid.bits - 1));
  float top = grid.symmetry == Symmetry::kSymRestricted ? half - 1.0F : half - 0.5F;
  if (grid.symmetry == Symmetry::kAsymmetric) top = 2.0F * half - 1.0F;
  if (grid.kind == GridKind::kCodebook) top = find_codebook(grid.codebook).largest;
  const float scale = 448.0F * top / largest;
  bound.tensor_scale = std::isfinite(scale) ? scale : 1.0F;
  return bound;
}

namespace {

// Fits of all groups, [rows, groups].
std::vector<GroupFit> fit_groups(std::span<const float> values, std::int64_t rows, std::int64_t columns,
                                 const GridSpec& grid, const ClipSearch* search) {
  const GroupGrid group_grid(grid);
  const std::int64_t groups = grid.groups(columns);
  const std::int64_t width = grid.group > 0 ? grid.group : columns;
  std::vector<GroupFit> fits(static_cast<std::size_t>(rows * groups));
  if (grid.group == 0) {
    std::fill(fits.begin(), fits.end(), fit_group(group_grid, values, search));
    return fits;
  }
  const bool by_rows = grid.scale_type == ScaleType::kUint8;
  parallel_for(rows, rows_per_part(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const auto first = static_cast<std::size_t>(row * columns);
      const auto numbers = values.subspan(first, static_cast<std::size_t>(columns));
      const GroupGrid own = by_rows ? GroupGrid(row_grid(grid, fit_row_scale(numbers))) : group_grid;
      for (std::int64_t group = 0; group < groups; ++group) {
        const auto offset = static_cast<std::size_t>(group * width);
        const auto count = static_cast<std::size_t>(std::min(width, columns - group * width));
        fits[static_cast<std::size_t>(row * groups + group)] = fit_group(own, numbers.subspan(offset, count), search);
      }
    }
  });
  return fits;
}

void nest_groups(std::vector<GroupFit>& fits, std::int64_t rows, std::int64_t groups, QuantizedWeight& weight) {
  const GroupGrid group_grid(weight.grid);
  std::vector<NestedScales> scales;
  std::vector<NestedScales> zeros;
  std::vector<GroupFit> column(static_cast<std::size_t>(rows));
  for (std::int64_t group = 0; group < groups; ++group) {
    const auto place = [&](std::size_t row) {
      return row * static_cast<std::size_t>(groups) + static_cast<std::size_t>(group);
    };
    for (std::size_t row = 0; row < column.size(); ++row) column[row] = fits[place(row)];
    GroupParameters nested;
    nest_column(column, group_grid, weight.grid, nested);
    for (std::size_t row = 0; row < column.size(); ++row) fits[place(row)] = column[row];
    scales.push_back(std::move(*nested.nested_scales));
    if (nested.nested_zeros) zeros.push_back(std::move(*nested.nested_zeros));
  }
  weight.nested_scales = join_nested(scales);
  if (!zeros.empty()) weight.nested_zeros = join_nested(zeros);
}

}  // namespace

NestedScales join_nested(std::span<const NestedScales> columns) {
  NestedScales joined = columns.front();
  const auto join = [&](at::Tensor NestedScales::*part) {
    std::vector<at::Tensor> parts;
    for (const NestedScales& column : columns) parts.push_back(column.*part);
    return concatenate(parts, 1).contiguous();
  };
  joined.codes = join(&NestedScales::codes);
  joined.scales = join(&NestedScales::scales);
  joined.zeros = join(&NestedScales::zeros);
  return joined;
}

QuantizedWeight quantize_to_nearest(const at::Tensor& weight, const GridSpec& grid, const ClipSearch* search) {
  if (search != nullptr) check_search(*search);
  const at::Tensor matrix = as_matrix(weight, DType::kFloat32);
  const std::int64_t rows = matrix.size(0);
  const std::int64_t columns = matrix.size(1);
  const std::int64_t groups = grid.groups(columns);
  const std::int64_t width = grid.group > 0 ? grid.group : columns;
  const auto values = values_of<float>(matrix);
  require_finite(matrix);

  QuantizedWeight result;
  result.grid = bind_grid(grid, matrix);
  std::vector<GroupFit> fits = fit_groups(values, rows, columns, result.grid, search);
  if (grid.nested_bits > 0) nest_groups(fits, rows, groups, result);
  const GroupGrid group_grid(result.grid);
  result.codes = make_empty({rows, columns}, DType::kUInt8);
  result.scales = make_empty({rows, groups}, DType::kFloat32);
  at::Tensor zeros = make_empty({rows, groups}, DType::kFloat32);
  const auto codes = mutable_values_of<std::uint8_t>(result.codes);
  const auto scale = mutable_values_of<float>(result.scales);
  const auto zero = mutable_values_of<float>(zeros);
  parallel_for(rows, rows_per_part(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t group = 0; group < groups; ++group) {
        const auto offset = static_cast<std::size_t>(row * columns + group * width);
        const auto count = static_cast<std::size_t>(std::min(width, columns - group * width));
        const auto place = static_cast<std::size_t>(row * groups + group);
        group_grid.encode(values.subspan(offset, count), fits[place], codes.data() + offset);
        scale[place] = fits[place].scale;
        zero[place] = fits[place].zero;
      }
    }
  });
  if (grid.kind != GridKind::kCodebook) result.zeros = zeros;
  return result;
}

}  // namespace lowbit
