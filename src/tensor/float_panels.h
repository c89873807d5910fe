#pragma once

#include <cstdint>

// The innermost part of float32 products: a tile of six rows by sixteen columns that stays in registers while the depth
// runs. Every element is one chain of fused multiply-adds, from first to last, so that its bits are a function of its
// row and its column alone: not of the tile that it lies in, the cut of the depth, the batch or the threads.
namespace lowbit {

inline constexpr std::int64_t kPanelRows = 6;
inline constexpr std::int64_t kPanelColumns = 16;

/// Whether products here run on these panels: a processor with AVX2 and FMA, but without AVX-512, on which LibTorch's
/// products are faster.
[[nodiscard]] bool float_panels_available();

/// `count` rows (at most kPanelRows) of `depth` elements, `stride` apart, as a panel [depth][kPanelRows]; rows that are
/// not there become zeros.
void pack_left_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel);
/// Likewise as a panel [depth][kPanelColumns].
void pack_right_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel);
/// Columns of a matrix with `depth` rows `stride` apart, likewise: the panel's rows are parts of the matrix's rows.
void pack_left_columns(const float* columns, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel);
void pack_right_columns(const float* columns, std::int64_t stride, std::int64_t count, std::int64_t depth,
                        float* panel);

/// target[r, c] = start[c] + sum over k of left[k][r] * right[k][c], with `start` null for zeros; or, with `resume`,
/// the sum goes on from what is in `target`. `target_stride` lies between rows. `right` begins on 32 bytes.
struct PanelTile {
  const float* left;
  const float* right;
  std::int64_t depth;
  float* target;
  std::int64_t target_stride;
  const float* start;  // kPanelColumns numbers or null
  bool resume;
};
/// The whole tile of kPanelRows by kPanelColumns.
void multiply_panels(const PanelTile& tile);

}  // namespace lowbit
