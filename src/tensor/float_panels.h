#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/panel_tiles.h"

// The innermost part of float32 products: tiles of one or two panels of six rows by as many of sixteen columns, which
// stay in registers while the depth runs. Every element is one chain of fused multiply-adds, from first to last, so
// that its bits are a function of its row and its column alone: not of the tile that it lies in, the cut of the depth,
// the batch, the threads or the instruction set.
namespace lowbit {

/// Whether products here run on these panels: a processor with AVX2 and FMA.
[[nodiscard]] bool float_panels_available();
/// Whether products of bfloat16 run on them too: not with AMX, on which LibTorch's are faster, nor on AMD's processors
/// with instructions for bfloat16, where neither was measured. Intel's AVX-512 multiplies bfloat16 no faster than
/// float32.
[[nodiscard]] bool bfloat16_is_widened();

/// `count` rows (at most kPanelRows) of `depth` elements, `stride` apart, as a panel [depth][kPanelRows]; rows that are
/// not there become zeros.
void pack_left_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel);
/// Likewise as a panel [depth][kPanelColumns].
void pack_right_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel);
/// Columns of a matrix with `depth` rows `stride` apart, likewise: the panel's rows are parts of the matrix's rows.
void pack_left_columns(const float* columns, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel);
void pack_right_columns(const float* columns, std::int64_t stride, std::int64_t count, std::int64_t depth,
                        float* panel);

/// Packing a number takes as long as so many multiply-adds of a product.
inline constexpr double kPackingWork = 32;

/// A way to multiply panels, and softmax (tensor/softmax_columns.h) on the same vectors.
struct PanelKernel {
  std::string_view name;
  std::string_view missing;  // what the processor lacks for it; empty: nothing
  // Panels of the largest tile.
  std::int64_t row_panels;
  std::int64_t column_panels;
  void (*multiply)(const PanelTile& tile);
  void (*multiply_doubles)(const DoublePanelTile& tile);
  void (*softmax_columns)(float* scores, std::int64_t rows, std::int64_t stride, float scale, float* sums);
};
/// All of this build, from the slowest to the fastest.
[[nodiscard]] std::span<const PanelKernel> panel_kernels();
/// The fastest that this processor can run; there is one where `float_panels_available()`.
[[nodiscard]] const PanelKernel& panel_kernel();

}  // namespace lowbit
