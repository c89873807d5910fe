#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/formats/grid.h"

namespace lowbit LOWBIT_EXPORT {

/// Scales (or zeros) that are themselves quantized (SpQR, NF4's double quantization): value = scale (code - zero), one
/// subtraction and one product in float32, in runs of `run` consecutive rows of one group column.
struct NestedScales {
  at::Tensor codes;   ///< uint8 [out, groups]
  at::Tensor scales;  ///< float32 [ceil(out / run), groups], representable in `type`
  at::Tensor zeros;   ///< float32 [ceil(out / run), groups], likewise
  int bits = 3;
  std::int64_t run = 16;
  ScaleType type = ScaleType::kFloat32;
  /// The values that the codes stand for, float32 [out, groups].
  [[nodiscard]] at::Tensor dequantize() const;
};

/// Entries kept in high precision beside the grid, each place once, ordered by row and then by column. Where one stands
/// it replaces the dequantized code.
struct SparseOutliers {
  at::Tensor rows;     ///< int32 [count]
  at::Tensor columns;  ///< int32 [count]
  at::Tensor values;   ///< float32 [count], representable in float16
};

/// An orthonormal map that belongs to a weight: the stored matrix is W Q (input) or Q^T W (output), and whoever
/// multiplies must apply Q to the activation.
struct RotationTag {
  enum class Side { kInput, kOutput };
  Side side = Side::kInput;
  std::string name;  ///< "hadamard", with what its maker needs to rebuild it
  std::int64_t block = 0;
};

/// A weight matrix [out, in] on a grid: everything a solver decides, and nothing about how it is packed.
struct QuantizedWeight {
  GridSpec grid;
  at::Tensor codes;  ///< uint8 [out, in], 0 .. 2^bits - 1
  /// float32 [out, groups]: exactly representable in grid.scale_type, or what `nested_scales` stands for. With group 0
  /// (per tensor) [out, 1], all rows equal.
  at::Tensor scales;
  /// float32 [out, groups]: whole numbers in 0 .. 2^bits - 1 for kInteger (2^(bits - 1) for its symmetric kinds), like
  /// the scales for kOffset, undefined for kCodebook.
  at::Tensor zeros;
  at::Tensor group_index;  ///< int32 [in], the group of each column; undefined means column / grid.group
  at::Tensor group_bits;   ///< uint8 [groups]; undefined means grid.bits everywhere
  std::optional<NestedScales> nested_scales;
  std::optional<NestedScales> nested_zeros;
  std::optional<SparseOutliers> outliers;
  std::vector<RotationTag> rotations;

  [[nodiscard]] std::int64_t rows() const { return codes.size(0); }
  [[nodiscard]] std::int64_t columns() const { return codes.size(1); }
  /// scale * (code - zero) in float32 (one subtraction, one product), outliers put in: [out, in]. Exactly what a packed
  /// kernel must reproduce.
  [[nodiscard]] at::Tensor dequantize() const;
  /// Bits that codes, scales, zeros, indices and outliers take in an artifact, for the whole matrix, padding to whole
  /// words included: every data byte of its tensors but the shape. The zeros of symmetric grids and a `group_index`
  /// that says column / group take none.
  [[nodiscard]] std::int64_t stored_bits() const;
  /// Of every field: equal hashes mean equal weights.
  [[nodiscard]] Hash content_hash() const;
  /// True unless `group_index` is defined and differs from column / grid.group.
  [[nodiscard]] bool natural_groups() const;
  /// The group of each column, [in].
  [[nodiscard]] std::vector<std::int32_t> column_groups() const;
  /// The bits of each group's codes, [groups].
  [[nodiscard]] std::vector<std::uint8_t> bits_of_groups() const;
  /// Shapes, ranges of codes and indices, finite scales. Throws `kData` as "<layer>: ...".
  void check(const std::string& layer) const;
};

struct ClipSearch;
/// Every weight of `weight` [out, in] rounded to the nearest number of a grid that is fitted group by group, by
/// `fit_min_max` or, with `search`, by `fit_clipped`. Groups may be ragged. Same bits for any number of threads. Throws
/// `kData` naming the place of a weight that is not finite.
[[nodiscard]] QuantizedWeight quantize_to_nearest(const at::Tensor& weight, const GridSpec& grid,
                                                  const ClipSearch* search = nullptr);

/// Scale and zero of each row's part `weight` [out, columns] on `grid`, scales rounded to their storage type.
/// An all-zero part gets the grid of the range -1..1, which holds 0. Integer zeros are clamped to 0 .. 2^bits - 1, and
/// their range is widened to hold 0; real zeros and their range are not. A part without negative numbers is mirrored
/// like any other by the symmetric kinds. Both results are float32 [out]; `zeros` is undefined for kCodebook. With
/// grid.nested_bits scales and real zeros are those that `nested_scales` and `nested_zeros` (of one column) stand for:
/// rows count in runs from the first. Throws `kData` naming row and column of a weight that is not finite.
struct GroupParameters {
  at::Tensor scales;
  at::Tensor zeros;
  std::optional<NestedScales> nested_scales;
  std::optional<NestedScales> nested_zeros;
};
/// `grid` with what it needs to know of the whole weight: tensor_scale for scales of type e4m3, 448 over the largest
/// scale. `fit_min_max` and `fit_clipped` see parts only and need it; `quantize_to_nearest` does it itself.
[[nodiscard]] GridSpec bind_grid(const GridSpec& grid, const at::Tensor& weight);
[[nodiscard]] GroupParameters fit_min_max(const at::Tensor& weight, const GridSpec& grid);
/// The least |Q(w) - w|^norm over shrunken ranges (GPTQ's search: 1 - i/grid_steps for i below max_shrink *
/// grid_steps); never worse than `fit_min_max` under that norm.
struct ClipSearch {
  int grid_steps = 100;
  double max_shrink = 0.8;
  double norm = 2.4;
};
[[nodiscard]] GroupParameters fit_clipped(const at::Tensor& weight, const GridSpec& grid, const ClipSearch& search);
/// clamp(round_half_even(w / s) + z, 0, 2^b - 1) as uint8, shape of `weight` [out, columns]; `scales`, `zeros` [out].
/// For kOffset clamp(round_half_even(w / s + z), ...), for kCodebook the entry nearest to w / s.
[[nodiscard]] at::Tensor encode_columns(const at::Tensor& weight, const GroupParameters& parameters,
                                        const GridSpec& grid);
[[nodiscard]] at::Tensor decode_columns(const at::Tensor& codes, const GroupParameters& parameters,
                                        const GridSpec& grid);
/// Rounds to the storage type and back to float32; keeps 0 and sign; what would become 0 or infinite is clamped to the
/// nearest finite non-zero value.
[[nodiscard]] at::Tensor round_scales(const at::Tensor& scales, ScaleType type);

}  // namespace lowbit
