#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lowbit/base/export.h"
#include "lowbit/config/fields.h"

namespace lowbit LOWBIT_EXPORT {

/// What a code stands for.
enum class GridKind {
  kInteger,   ///< w = s (q - z), integer zero z
  kOffset,    ///< w = s (q - z), real zero z (HQQ, SpQR)
  kCodebook,  ///< w = s table[q] (NF4, FP4, ternary, E2M1, E4M3 ...)
};

/// Which range an integer grid covers. The "symmetric" conventions differ and are named.
enum class Symmetry {
  kAsymmetric,     ///< range widened to hold 0; s = (max - min) / (2^b - 1), z = round(-min / s)  (GPTQ)
  kSymOffset,      ///< s = 2 max|w| / (2^b - 1), z = 2^(b-1); codes 0 .. 2^b - 1           (GPTQ, compressed-tensors)
  kSymRestricted,  ///< s = max|w| / (2^(b-1) - 1), z = 2^(b-1); code 0 unused by the extremes (AWQ, SmoothQuant)
  kSymFullSigned,  ///< s = m / -2^(b-1), m the signed extreme; s may be negative              (ggml Q4_0)
};

/// The type that scales (and real zeros) are rounded to before any code is chosen. With kE4M3 a scale is an E4M3 number
/// over one float32 number of the whole weight (NVFP4's two levels): `GridSpec::tensor_scale`. With kUint8 it is a
/// whole number times one float32 number of the row, and all that codes stand for is -128..127 times that (QServe's two
/// levels, kernels/two_level.h): products of rounded activations then add up whole numbers over a whole row.
enum class ScaleType { kFloat16, kBFloat16, kFloat32, kE8M0, kE4M3, kUint8 };
[[nodiscard]] std::string_view scale_type_name(ScaleType type);
[[nodiscard]] int scale_type_bits(ScaleType type);

/// How a codebook's scale follows from a group. m is the largest magnitude, c the codebook's largest number.
enum class ScaleRule {
  kAbsmax,   ///< m / c, then rounded to the scale type
  kAbsmean,  ///< the mean magnitude (BitNet b1.58)
  kFloor,    ///< 2^(floor(log2 m) - floor(log2 c)), OCP Microscaling formats 1.0: the largest may be clipped
  kEven,     ///< kFloor of m rounded to the codebook's significand first (compressed-tensors, torchao's EVEN)
};
[[nodiscard]] std::string_view scale_rule_name(ScaleRule rule);
[[nodiscard]] std::string_view symmetry_name(Symmetry symmetry);
[[nodiscard]] std::string_view grid_kind_name(GridKind kind);
/// The inverse of the names above, for names out of files. Throws `kData`.
[[nodiscard]] ScaleType scale_type_named(std::string_view name);
[[nodiscard]] Symmetry symmetry_named(std::string_view name);
[[nodiscard]] GridKind grid_kind_named(std::string_view name);
[[nodiscard]] ScaleRule scale_rule_named(std::string_view name);

/// A grid of numbers that weights are rounded to, without the scales themselves.
struct GridSpec {
  GridKind kind = GridKind::kInteger;
  int bits = 4;                               ///< 2..8
  Symmetry symmetry = Symmetry::kAsymmetric;  ///< for the integer kinds
  std::string codebook;                       ///< name in codebooks.h, for kCodebook
  /// Input columns that share a scale: a positive number (the last group of a row may be ragged), -1 for one a row
  /// (per channel), 0 for one a tensor.
  std::int64_t group = 128;
  ScaleType scale_type = ScaleType::kFloat16;
  ScaleRule scale_rule = ScaleRule::kAbsmax;  ///< for kCodebook
  /// 0, or the bits of scales (and real zeros) that are quantized again, in runs of `nested_run` rows of one group
  /// column, each run with a scale and a real zero of `scale_type`.
  int nested_bits = 0;
  std::int64_t nested_run = 16;
  /// With kE4M3: scales are E4M3 numbers divided by this. 0 until `bind_grid` has seen the weight. With kUint8: the
  /// number of the one row that a part of the weight belongs to; 0 in the grid of a whole weight.
  float tensor_scale = 0.0F;

  [[nodiscard]] std::int64_t groups(std::int64_t in_features) const;
  /// Whether each row's scales are found in that row alone: none a tensor, none in runs of rows, none relative to the
  /// largest weight.
  [[nodiscard]] bool fits_rows_alone() const {
    return group != 0 && nested_bits == 0 && scale_type != ScaleType::kE4M3 && scale_type != ScaleType::kUint8;
  }
  /// "int4 g64 asymmetric", as reports print it.
  [[nodiscard]] std::string text() const;
  /// Throws `kConfig` when the fields contradict each other or are out of range.
  void check() const;
  friend bool operator==(const GridSpec&, const GridSpec&) = default;

 private:
  void check_scales() const;
};

/// Number formats by name, the key `format`. Those behind kTernary fix bits, group and scales.
enum class NumberFormat {
  kInteger,  ///< `symmetry` says which
  kOffset,   ///< integer codes, real zero
  kNf4,
  kFp4,   ///< bitsandbytes'
  kE2m1,  ///< FP4 of OCP and NVIDIA
  kE2m3,
  kE3m2,
  kE4m3,
  kE5m2,
  kTernary,
  kMxfp4,
  kMxfp6E2m3,
  kMxfp6E3m2,
  kMxfp8E4m3,
  kMxfp8E5m2,
  kMxint8,
  kNvfp4,
};

/// The options that every solver which rounds to a grid shares: `format`, `bits`, `group`, `symmetry`, `scale`,
/// `scale_rule`, `nested_bits`, `nested_run`.
struct GridOptions {
  NumberFormat format = NumberFormat::kInteger;
  int bits = 4;
  std::int64_t group = 128;
  Symmetry symmetry = Symmetry::kAsymmetric;
  ScaleType scale = ScaleType::kFloat16;
  ScaleRule scale_rule = ScaleRule::kAbsmax;
  int nested_bits = 0;
  std::int64_t nested_run = 16;
  /// A format with what belongs to it: {.format = kMxfp4} is not enough, since its group is 32.
  [[nodiscard]] static GridOptions of(NumberFormat format);
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
  /// Throws `kConfig` when the options contradict each other.
  [[nodiscard]] GridSpec spec() const;
};

}  // namespace lowbit
