#pragma once

#include <cstdint>

// What kernels see: plain pointers, so that files that are compiled for one instruction set share no inline code of the
// standard library with the others.
namespace lowbit::kernels {

/// A block is 16 rows of the matrix; columns go in steps of 32 and in runs of at most eight steps, which never cross a
/// group's end. A step holds the codes of 16 x 32 weights in planes of bits: 8 bits in one plane, 4 in one, 2 in one, 3
/// in a plane of 2 and one of 1 for the highest bit. Within a plane of w bits, chunk i of 64 bytes holds the quads of
/// four columns i * 8 / w ..., quad q in the bits w * (q % (8 / w)), row r's four columns in bytes 4 r .. 4 r + 3.
inline constexpr int kBlockRows = 16;
inline constexpr int kStepColumns = 32;
inline constexpr int kStepQuads = kStepColumns / 4;
inline constexpr int kRunSteps = 8;
inline constexpr int kRunColumns = kRunSteps * kStepColumns;
/// Blocks and tokens that one call of a kernel takes at most.
inline constexpr int kCallBlocks = 4;
inline constexpr int kCallTokens = 96;
inline constexpr int kCallRows = kCallBlocks * kBlockRows;

struct Run {
  std::int32_t group;
  std::int32_t first_step;
  std::int32_t steps;
  std::int32_t columns;  ///< without the padding that fills the last step
  bool opens;            ///< first run of its group
  bool closes;           ///< last run of its group
};

enum class ScaleKind : std::uint8_t { kFloat32, kFloat16, kBFloat16 };
enum class ZeroKind : std::uint8_t { kUniform, kByte, kFloat32, kTable };

/// A packed matrix. A block's memory: scales [groups][16], zeros [groups][16], then the codes, step by step. Scales of
/// two levels are bytes [groups][16], which multiply the rows' numbers, float32 [16] at `row_scale_offset`.
struct Blocks {
  const std::uint8_t* data;  ///< begins on 64 bytes
  std::int64_t block_bytes;
  std::int64_t zero_offset;
  std::int64_t code_offset;
  std::int64_t row_scale_offset;  ///< 0: scales of one level
  std::int32_t step_bytes;
  std::int32_t packed_bits;  ///< 2, 3, 4 or 8
  ScaleKind scale_kind;
  ZeroKind zero_kind;
  std::int32_t uniform_zero;
  const float* table;  ///< 2^packed_bits numbers, for kTable
  const Run* runs;
  std::int64_t run_count;
  // Outliers of block b: outlier_begin[b] .. outlier_begin[b + 1], ordered by padded column.
  const std::int64_t* outlier_begin;
  const std::int32_t* outlier_columns;  ///< padded: step * 32 + place
  const std::int32_t* outlier_lanes;    ///< row within the block
  const float* outlier_values;
};

/// One call: rows of blocks first_block .. first_block + block_count - 1, tokens of one part of the input.
struct Call {
  const Blocks* blocks;
  std::int64_t first_block;
  std::int64_t block_count;
  /// Arranged activations (activations.h) of these tokens.
  const void* values;
  /// kInt16: [tokens][runs], the scales of runs.
  const float* run_scales;
  /// The integers' sums over runs: [tokens][runs].
  const std::int32_t* run_sums;
  std::int64_t tokens;
  /// f of `Arithmetic`, [tokens][kCallRows]: holds the starts, receives the results.
  float* sums;
};

}  // namespace lowbit::kernels
