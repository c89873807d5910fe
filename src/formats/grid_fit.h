#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/uniform_grid.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/grid.h"
#include "lowbit/formats/quantized_weight.h"

namespace lowbit {

/// Scale and zero of one group. `low` is where its range begins, for a zero that must follow another scale.
struct GroupFit {
  float scale = 1.0F;
  float zero = 0.0F;
  float low = 0.0F;
  bool empty = false;  ///< all weights are 0, so that any scale would do
};

/// The arithmetic of one grid on the plain numbers of one group. All of it is float32, operation by operation, so that
/// the same numbers give the same bits on any machine and with any number of threads.
class GroupGrid {
 public:
  /// Throws `kConfig` when the grid is not one that can be fitted (2..8 bits, known codebook).
  explicit GroupGrid(const GridSpec& grid);

  [[nodiscard]] GroupFit fit_min_max(std::span<const float> values) const;
  [[nodiscard]] GroupFit fit_clipped(std::span<const float> values, const ClipSearch& search) const;
  void encode(std::span<const float> values, const GroupFit& fit, std::uint8_t* codes) const;
  [[nodiscard]] float decode(std::uint8_t code, const GroupFit& fit) const;
  /// The zero of a group whose range begins at `low` on the scale `scale`, rounded to its storage type unless nested.
  [[nodiscard]] float zero_for(float low, float scale) const;

 private:
  using Range = Extremes;
  [[nodiscard]] Range range_of(std::span<const float> values) const;
  [[nodiscard]] Range offset_range(std::span<const float> values, const Range& with_zero) const;
  [[nodiscard]] GroupFit fit_of(const Range& range) const;
  [[nodiscard]] float scale_of(const Range& range) const;
  [[nodiscard]] float stored_scale(float scale) const;
  [[nodiscard]] float whole_zero(float real_zero, float scale) const;
  [[nodiscard]] UniformGrid uniform(const GroupFit& fit) const;
  [[nodiscard]] double exact_error(std::span<const float> values, const GroupFit& fit, double norm) const;

  GridSpec grid_;
  const Codebook* codebook_ = nullptr;
  float top_ = 15.0F;  // 2^bits - 1
  float half_ = 8.0F;  // 2^(bits - 1)
};

/// The number of which a row's scales of type kUint8 are whole multiples: bfloat16, so that multiples are exact. 119 of
/// it reach the largest weight: rounding to a group's steps, at most 16 of it, then stays within -128..127 (QServe,
/// section 4.1).
[[nodiscard]] float fit_row_scale(std::span<const float> row);
/// `grid` for one row of a weight with scales of type kUint8.
[[nodiscard]] GridSpec row_grid(const GridSpec& grid, float row_scale);
/// `fit_row_scale` of all rows of `weight` [out, in]; empty for other types of scales.
[[nodiscard]] std::vector<float> fit_row_scales(const at::Tensor& weight, const GridSpec& grid);
/// As `fit_min_max`, or with `search` as `fit_clipped`, of rows whose numbers are `row_scales`.
[[nodiscard]] GroupParameters fit_part(const at::Tensor& part, const GridSpec& grid, const ClipSearch* search,
                                       std::span<const float> row_scales);

/// `value` rounded to the storage type and back: see `round_scales`. `tensor_scale` divides E4M3 numbers.
[[nodiscard]] float round_scale(float value, ScaleType type, float tensor_scale = 1.0F);

/// Puts scales (or zeros) of consecutive rows of one group column, runs of grid.nested_run of them, on grids of
/// grid.nested_bits and replaces them by what their codes stand for. Positive values stay positive. The result's
/// tensors have one column.
[[nodiscard]] NestedScales nest_values(std::span<float> values, const GridSpec& grid);
/// Columns side by side.
[[nodiscard]] NestedScales join_nested(std::span<const NestedScales> columns);

}  // namespace lowbit
