#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lowbit/base/export.h"
#include "lowbit/config/fields.h"
#include "lowbit/formats/grid.h"
#include "lowbit/model/linear_op.h"

namespace lowbit LOWBIT_EXPORT {

/// How the input of a product is rounded: the part that a model's file must say, in the words that files share. Ranges
/// per token and per group are those of the numbers at hand, a range per tensor is a stored number.
struct ActivationScheme {
  /// The name of the execution, and of the record that holds such a scheme as its settings.
  static constexpr const char* kRecordName = "activations";
  static constexpr const char* kScale = "input_scale";      ///< float32 [1], per tensor only
  static constexpr const char* kZero = "input_zero_point";  ///< int8 [1], for asymmetric ones: that of signed codes

  enum class Type { kInteger, kFloat8 };
  enum class Per { kToken, kTensor, kGroup };
  Type type = Type::kInteger;
  int bits = 8;
  Symmetry symmetry = Symmetry::kSymRestricted;  ///< kAsymmetric, kSymOffset or kSymRestricted
  Per per = Per::kToken;
  std::int64_t group = 128;  ///< channels that share a scale, for kGroup
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
  /// "int8 per token"
  [[nodiscard]] std::string text() const;
  friend bool operator==(const ActivationScheme&, const ActivationScheme&) = default;
};

/// The scheme of a record of that name, nothing for another one. Throws `kData` when its settings cannot be read.
[[nodiscard]] std::optional<ActivationScheme> activation_scheme_of(const RuntimeRecord& record);

}  // namespace LOWBIT_EXPORT
