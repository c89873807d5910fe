// The grid functions of quantized_weight.h: tensors in, rows handed to GroupGrid in parallel, tensors out.
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>

#include "formats/grid_fit.h"
#include "lowbit/base/error.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/tensor/factory.h"
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

void require_finite(std::span<const float> values, std::int64_t columns) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    const auto place = static_cast<std::int64_t>(i);
    fail(ErrorCode::kData, "weight at row {}, column {} is {}; only finite weights can be quantized", place / columns,
         place % columns, values[i]);
  }
}

template <typename Fit>
GroupParameters fit_rows(const at::Tensor& weight, const GridSpec& grid, const Fit& fit) {
  const GroupGrid group_grid(grid);
  const at::Tensor matrix = as_matrix(weight, DType::kFloat32);
  const std::int64_t rows = matrix.size(0);
  const std::int64_t columns = matrix.size(1);
  const std::span<const float> values = values_of<float>(matrix);
  require_finite(values, columns);
  GroupParameters result{make_empty({rows}, DType::kFloat32), {}};
  at::Tensor zeros = make_empty({rows}, DType::kFloat32);
  const std::span<float> scale_out = mutable_values_of<float>(result.scales);
  const std::span<float> zero_out = mutable_values_of<float>(zeros);
  parallel_for(rows, rows_per_part(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const GroupFit found =
          fit(group_grid, values.subspan(static_cast<std::size_t>(row * columns), static_cast<std::size_t>(columns)));
      scale_out[static_cast<std::size_t>(row)] = found.scale;
      zero_out[static_cast<std::size_t>(row)] = found.zero;
    }
  });
  if (grid.kind != GridKind::kCodebook) result.zeros = zeros;
  return result;
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

GroupParameters fit_min_max(const at::Tensor& weight, const GridSpec& grid) {
  return fit_rows(weight, grid, [](const GroupGrid& g, std::span<const float> row) { return g.fit_min_max(row); });
}

GroupParameters fit_clipped(const at::Tensor& weight, const GridSpec& grid, const ClipSearch& search) {
  check_search(search);
  return fit_rows(weight, grid,
                  [&](const GroupGrid& g, std::span<const float> row) { return g.fit_clipped(row, search); });
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

QuantizedWeight quantize_to_nearest(const at::Tensor& weight, const GridSpec& grid, const ClipSearch* search) {
  if (search != nullptr) check_search(*search);
  const GroupGrid group_grid(grid);
  const at::Tensor matrix = as_matrix(weight, DType::kFloat32);
  const std::int64_t rows = matrix.size(0);
  const std::int64_t columns = matrix.size(1);
  const std::int64_t groups = grid.groups(columns);
  const std::int64_t width = grid.group > 0 ? grid.group : columns;
  const auto values = values_of<float>(matrix);
  require_finite(values, columns);

  QuantizedWeight result;
  result.grid = grid;
  result.codes = make_empty({rows, columns}, DType::kUInt8);
  result.scales = make_empty({rows, groups}, DType::kFloat32);
  at::Tensor zeros = make_empty({rows, groups}, DType::kFloat32);
  const auto codes = mutable_values_of<std::uint8_t>(result.codes);
  const auto scale = mutable_values_of<float>(result.scales);
  const auto zero = mutable_values_of<float>(zeros);
  const GroupFit whole = grid.group == 0 ? fit_group(group_grid, values, search) : GroupFit{};
  parallel_for(rows, rows_per_part(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t group = 0; group < groups; ++group) {
        const std::int64_t first = group * width;
        const auto offset = static_cast<std::size_t>(row * columns + first);
        const auto part = values.subspan(offset, static_cast<std::size_t>(std::min(width, columns - first)));
        const GroupFit fit = grid.group == 0 ? whole : fit_group(group_grid, part, search);
        group_grid.encode(part, fit, codes.data() + offset);
        scale[static_cast<std::size_t>(row * groups + group)] = fit.scale;
        zero[static_cast<std::size_t>(row * groups + group)] = fit.zero;
      }
    }
  });
  if (grid.kind != GridKind::kCodebook) result.zeros = zeros;
  return result;
}

}  // namespace lowbit
