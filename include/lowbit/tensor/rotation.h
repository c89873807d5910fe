#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/fwd.h"

namespace lowbit LOWBIT_EXPORT {

/// The small factor of a rotation: nothing, a Hadamard matrix by one of Paley's constructions, or an orthonormal matrix
/// made of seeded random numbers where neither gives one.
enum class RotationCore { kNone, kPaley1, kPaley2, kOrthonormal };

/// An orthonormal matrix of order n = core_order * 2^k, said by its construction: Q = D (core (x) S) / scale with S
/// Sylvester's Hadamard matrix of order 2^k and D random signs or 1.
struct RotationSpec {
  RotationCore core = RotationCore::kNone;
  std::int64_t core_order = 1;
  std::uint64_t seed = 0;     ///< of an orthonormal core and of the signs
  bool random_signs = false;  ///< D
  bool operator==(const RotationSpec&) const = default;
};

/// The rotation of order n with the smallest core: Hadamard where the constructions know one, else orthonormal in n's
/// odd part. Throws `kUnsupported` where that part is beyond 512.
[[nodiscard]] RotationSpec rotation_for(std::int64_t n, std::uint64_t seed, bool random_signs);
/// What is wrong with a rotation of order n that a file describes; "" when nothing is.
[[nodiscard]] std::string rotation_problem(const RotationSpec& spec, std::int64_t n);
/// "Hadamard 36 (Paley II) x 16", "orthonormal 9 (seed 0) x 64"
[[nodiscard]] std::string rotation_text(const RotationSpec& spec, std::int64_t n);
/// "none", "paley1", "paley2", "orthonormal"
[[nodiscard]] std::string_view rotation_core_name(RotationCore core);
[[nodiscard]] std::optional<RotationCore> rotation_core_named(std::string_view name);

/// Applies such a matrix to the last dimension of tensors by a fast Walsh-Hadamard transform and a product with the
/// core: n (k + core_order) additions a row.
///
///   const Rotation rotation(rotation_for(576, 0, true), 576);
///   at::Tensor turned = rotation.apply(x);            // x Q, [.., 576]
class Rotation {
 public:
  /// Throws `kInternal` for a spec that does not go with n.
  Rotation(const RotationSpec& spec, std::int64_t n);
  /// x Q in the type of x. float64 is computed in float64, all else in float32, each row by itself and in a fixed
  /// order.
  [[nodiscard]] at::Tensor apply(const at::Tensor& x) const;
  /// Q entry by entry from its definition, float64 [n, n]: the plain reference of `apply`.
  [[nodiscard]] at::Tensor matrix() const;
  [[nodiscard]] std::int64_t order() const { return order_; }

 private:
  [[nodiscard]] at::Tensor apply_functional(const at::Tensor& x) const;
  std::int64_t order_;
  std::int64_t core_order_;
  std::vector<double> core_;   // [core_order, core_order], +-1 or orthonormal
  std::vector<double> signs_;  // [n], or empty
  double scale_;               // what the product is multiplied by
};

}  // namespace LOWBIT_EXPORT
