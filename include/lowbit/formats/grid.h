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

/// The type that scales (and real zeros) are rounded to before any code is chosen.
enum class ScaleType { kFloat16, kBFloat16, kFloat32, kE8M0 };
[[nodiscard]] std::string_view scale_type_name(ScaleType type);
[[nodiscard]] int scale_type_bits(ScaleType type);
[[nodiscard]] std::string_view symmetry_name(Symmetry symmetry);
[[nodiscard]] std::string_view grid_kind_name(GridKind kind);
/// The inverse of the three above, for names out of files. Throws `kData`.
[[nodiscard]] ScaleType scale_type_named(std::string_view name);
[[nodiscard]] Symmetry symmetry_named(std::string_view name);
[[nodiscard]] GridKind grid_kind_named(std::string_view name);

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

  [[nodiscard]] std::int64_t groups(std::int64_t in_features) const;
  /// "int4 g64 asymmetric", as reports print it.
  [[nodiscard]] std::string text() const;
  /// Throws `kConfig` when the fields contradict each other or are out of range.
  void check() const;
  friend bool operator==(const GridSpec&, const GridSpec&) = default;
};

/// The options `bits`, `group`, `symmetry` and `scale`, which every solver that rounds to an integer grid shares.
struct GridOptions {
  int bits = 4;
  std::int64_t group = 128;
  Symmetry symmetry = Symmetry::kAsymmetric;
  ScaleType scale = ScaleType::kFloat16;
  void visit(FieldVisitor& v);
  [[nodiscard]] GridSpec spec() const;
};

}  // namespace lowbit
