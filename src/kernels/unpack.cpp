#include <algorithm>
#include <numeric>
#include <tuple>

#include "kernels/layout.h"

namespace lowbit::kernels {

namespace {

void unpack_row(const PackedLayout& layout, std::int64_t row, UnpackedWeight& result) {
  const Blocks blocks = layout.view();
  const std::int64_t block = row / kBlockRows;
  const int lane = static_cast<int>(row % kBlockRows);
  for (std::int64_t g = 0; g < layout.shape.groups; ++g) {
    result.scales.push_back(load_scale(blocks, block, g, lane));
    if (layout.zero_kind != ZeroKind::kTable) result.zeros.push_back(load_zero(blocks, block, g, lane));
  }
  std::uint8_t* codes = result.codes.data() + row * layout.shape.columns;
  for (std::int64_t place = 0; place < layout.padded_columns(); ++place) {
    const std::int64_t column = layout.source(place);
    if (column >= 0) codes[column] = load_code(blocks, block, place, lane);
  }
}

void unpack_outliers(const PackedLayout& layout, UnpackedWeight& result) {
  using Entry = std::tuple<std::int32_t, std::int32_t, float, std::uint8_t>;  // row, column, value, code
  std::vector<Entry> entries;
  for (std::int64_t block = 0; block < layout.blocks; ++block) {
    for (auto i = layout.outlier_begin[static_cast<std::size_t>(block)];
         i < layout.outlier_begin[static_cast<std::size_t>(block) + 1]; ++i) {
      const auto at = static_cast<std::size_t>(i);
      entries.emplace_back(static_cast<std::int32_t>(block * kBlockRows + layout.outlier_lanes[at]),
                           static_cast<std::int32_t>(layout.source(layout.outlier_places[at])),
                           layout.outlier_values[at], layout.outlier_codes[at]);
    }
  }
  std::ranges::sort(entries);
  for (const auto& [row, column, value, code] : entries) {
    result.outlier_rows.push_back(row);
    result.outlier_columns.push_back(column);
    result.outlier_values.push_back(value);
    result.codes[static_cast<std::size_t>(row * layout.shape.columns + column)] = code;
  }
}

}  // namespace

CanonicalWeight UnpackedWeight::view() const {
  CanonicalWeight weight = shape;
  weight.codes = codes;
  weight.scales = scales;
  weight.zeros = zeros;
  weight.table = table;
  weight.group_index = group_index;
  weight.outliers = {outlier_rows, outlier_columns, outlier_values};
  return weight;
}

UnpackedWeight PackedWeight::unpack() const {
  const PackedLayout& layout = *layout_;
  UnpackedWeight result;
  result.shape = layout.shape;
  result.codes.resize(static_cast<std::size_t>(layout.shape.rows * layout.shape.columns));
  for (std::int64_t row = 0; row < layout.shape.rows; ++row) unpack_row(layout, row, result);
  result.table = layout.table;
  result.table.resize(layout.table_size);
  result.group_index = layout.group_index;
  unpack_outliers(layout, result);
  return result;
}

}  // namespace lowbit::kernels
