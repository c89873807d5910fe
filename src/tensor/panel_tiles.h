#pragma once

#include <cstdint>

// What multiplies panels sees: no inline code, of which the linker might keep a copy that was compiled for another
// instruction set.
namespace lowbit {

inline constexpr std::int64_t kPanelRows = 6;
inline constexpr std::int64_t kPanelColumns = 16;
/// Of a right panel: 64 bytes of numbers.
template <typename Number>
inline constexpr std::int64_t kPanelColumnsOf = kPanelColumns * 4 / static_cast<std::int64_t>(sizeof(Number));
/// Of any kernel's largest tile.
inline constexpr std::int64_t kMostTileRows = 2 * kPanelRows;
inline constexpr std::int64_t kMostTileColumns = 2 * kPanelColumns;
/// Left panels [depth][kPanelRows] times right panels [depth][kPanelColumns]:
/// target[r, c] = start[c] + sum over k of left[k][r] * right[k][c], with `start` null for zeros; or, with `resume`,
/// the sum goes on from what is in `target`. Strides are in elements: of `target` between rows, of panels of one side
/// from begin to begin. The right panels' rows begin on 32 bytes.
template <typename Number>
struct PanelTileOf {
  const Number* left;
  const Number* right;
  std::int64_t depth;
  Number* target;  // [row_panels * kPanelRows, column_panels * kPanelColumns]
  std::int64_t target_stride;
  const Number* start;  // column_panels * kPanelColumns numbers or null
  bool resume;
  std::int64_t row_panels = 1;
  std::int64_t column_panels = 1;
  std::int64_t left_stride = 0;
  std::int64_t right_stride = 0;
  std::int64_t right_step = kPanelColumnsOf<Number>;  // between the rows of a right panel
};
using PanelTile = PanelTileOf<float>;
using DoublePanelTile = PanelTileOf<double>;  // right panels of eight columns

/// With AVX-512F, up to two by two panels; defined on x86-64 alone.
void multiply_panels_avx512(const PanelTile& tile);
void multiply_panels_avx512(const DoublePanelTile& tile);

}  // namespace lowbit
