#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/packed_memory.h"
#include "kernels/tiles.h"
#include "lowbit/kernels/api.h"

namespace lowbit::kernels {

struct PackedLayout {
  CanonicalWeight shape;  ///< its spans are empty
  int packed_bits = 0;
  ZeroKind zero_kind = ZeroKind::kUniform;
  std::int32_t uniform_zero = 0;
  std::int64_t steps = 0;
  std::int64_t blocks = 0;
  std::int64_t longest_group = 0;  ///< columns
  std::int64_t zero_offset = 0;
  std::int64_t code_offset = 0;
  std::int64_t row_scale_offset = 0;  ///< 0: scales of one level
  std::int64_t step_bytes = 0;
  std::int64_t block_bytes = 0;
  PackedBytes data;
  std::vector<Run> runs;
  /// The column that stands at each padded place, -1 for padding. Empty when place and column are the same.
  std::vector<std::int32_t> sources;
  std::vector<float> table;               ///< 2^packed_bits numbers, for kTable
  std::size_t table_size = 0;             ///< of them the caller's
  std::vector<std::int32_t> group_index;  ///< empty for natural groups
  std::vector<std::int64_t> outlier_begin;
  std::vector<std::int32_t> outlier_places;  ///< padded columns
  std::vector<std::int32_t> outlier_lanes;
  std::vector<float> outlier_values;
  std::vector<std::uint8_t> outlier_codes;  ///< that stood below them

  [[nodiscard]] std::int64_t padded_columns() const { return steps * kStepColumns; }
  [[nodiscard]] std::int64_t source(std::int64_t place) const;
  [[nodiscard]] Blocks view() const;
  [[nodiscard]] std::int64_t bytes() const;
};

/// Shapes, groups, runs and offsets of a checked weight; no memory yet.
[[nodiscard]] PackedLayout plan_layout(const CanonicalWeight& weight);
/// Throws `kData` when the weight contradicts itself; its codes are not looked at.
void check_weight(const CanonicalWeight& weight, const Executor& executor);
/// Whether the codes of rows begin .. end - 1 are all numbers of the grid.
[[nodiscard]] bool codes_hold(const CanonicalWeight& weight, std::int64_t begin, std::int64_t end);
/// Throws `kData` for the first code that is none.
void check_codes(const CanonicalWeight& weight);

/// One plane of a step: `bits` of each code from bit `shift` on, `offset` bytes into the step.
struct Plane {
  int bits;
  int shift;
  int offset;
};
[[nodiscard]] std::span<const Plane> planes_of(int packed_bits);

/// A scale or zero of the packed form as float32.
[[nodiscard]] float load_scale(const Blocks& blocks, std::int64_t block, std::int64_t group, int lane);
[[nodiscard]] float load_zero(const Blocks& blocks, std::int64_t block, std::int64_t group, int lane);
/// Of scales of two levels: the row's number and a group's whole one.
[[nodiscard]] float load_row_scale(const Blocks& blocks, std::int64_t block, int lane);
[[nodiscard]] int load_whole_scale(const Blocks& blocks, std::int64_t block, std::int64_t group, int lane);
/// The code at a padded column.
[[nodiscard]] std::uint8_t load_code(const Blocks& blocks, std::int64_t block, std::int64_t place, int lane);

}  // namespace lowbit::kernels
