#include "formats/row_decoder.h"

#include <algorithm>

#include "formats/uniform_grid.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {

RowDecoder::RowDecoder(const QuantizedWeight& weight)
    : columns_(static_cast<std::size_t>(weight.columns())),
      groups_(static_cast<std::size_t>(weight.scales.size(1))),
      width_(weight.grid.group > 0 ? std::min(static_cast<std::size_t>(weight.grid.group), columns_) : columns_),
      codebook_(weight.grid.kind == GridKind::kCodebook ? &find_codebook(weight.grid.codebook) : nullptr),
      codes_(values_of<std::uint8_t>(weight.codes)),
      scales_(values_of<float>(weight.scales)) {
  if (codebook_ == nullptr) zeros_ = values_of<float>(weight.zeros);
  if (codebook_ != nullptr || !weight.natural_groups()) group_of_ = weight.column_groups();
  if (!weight.outliers) return;
  outlier_rows_ = values_of<std::int32_t>(weight.outliers->rows);
  outlier_columns_ = values_of<std::int32_t>(weight.outliers->columns);
  outlier_values_ = values_of<float>(weight.outliers->values);
}

void RowDecoder::decode(std::int64_t row, float* out) const {
  const auto place = static_cast<std::size_t>(row);
  const auto codes = codes_.subspan(place * columns_, columns_);
  const auto scales = scales_.subspan(place * groups_, groups_);
  const auto zeros = codebook_ != nullptr ? zeros_ : zeros_.subspan(place * groups_, groups_);
  if (group_of_.empty()) {
    for (std::size_t first = 0; first < columns_; first += width_) {
      const std::size_t group = first / width_;
      decode_uniform(&codes[first], std::min(width_, columns_ - first), scales[group], zeros[group], out + first);
    }
  }
  for (std::size_t column = 0; column < group_of_.size(); ++column) {
    const auto group = static_cast<std::size_t>(group_of_[column]);
    const std::uint8_t q = codes[column];
    out[column] = codebook_ != nullptr ? scales[group] * codebook_->table[q]
                                       : scales[group] * (static_cast<float>(q) - zeros[group]);
  }
  put_outliers(row, out);
}

void RowDecoder::put_outliers(std::int64_t row, float* out) const {
  const auto [first, last] = std::equal_range(outlier_rows_.begin(), outlier_rows_.end(), row);
  for (auto i = static_cast<std::size_t>(first - outlier_rows_.begin()),
            end = static_cast<std::size_t>(last - outlier_rows_.begin());
       i < end; ++i) {
    out[static_cast<std::size_t>(outlier_columns_[i])] = outlier_values_[i];
  }
}

}  // namespace lowbit
