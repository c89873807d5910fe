#include "lowbit/model/activation_scheme.h"

#include <fmt/format.h>

#include "model/runtime_record.h"

namespace lowbit {

void ActivationScheme::visit(FieldVisitor& v) {
  v.choice("type", type, {"int", "fp8"}, "int: whole numbers; fp8: E4M3 floats of 8 bits");
  v.field("bits", bits, "width of a code", {2, 8});
  v.choice("symmetry", symmetry, {"asymmetric", "sym_offset", "sym_restricted"},
           "asymmetric: least to largest number, widened to hold 0; sym_offset: scale 2 max|x| / (2^bits - 1); "
           "sym_restricted: scale max|x| / (2^(bits - 1) - 1)");
  v.choice(
      "per", per, {"token", "tensor", "group"},
      "numbers that share a scale: one token's; all of a layer's, from calibration; a token's in a run of channels");
  v.field("group", group, "channels of a run, for 'per: group'; the last run may be shorter", {1, 1 << 20});
}

void ActivationScheme::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (type == Type::kFloat8 && bits != 8) problems.add(mark, "'type: fp8' has 8 bits; leave 'bits' away");
  if (type == Type::kFloat8 && symmetry == Symmetry::kAsymmetric) {
    problems.add(mark, "'type: fp8' has no zero point; leave 'symmetry' away");
  }
}

std::string ActivationScheme::text() const {
  const std::string number = type == Type::kFloat8 ? "fp8" : fmt::format("int{}", bits);
  const std::string shared = per == Per::kToken    ? "per token"
                             : per == Per::kTensor ? "per tensor, static"
                                                   : fmt::format("per {} channels of a token", group);
  const bool named = type == Type::kInteger && symmetry != Symmetry::kSymRestricted;
  return fmt::format("{} {}{}{}", number, shared, named ? ", " : "", named ? symmetry_name(symmetry) : "");
}

std::optional<ActivationScheme> activation_scheme_of(const RuntimeRecord& record) {
  if (record.name != ActivationScheme::kRecordName) return std::nullopt;
  return decode_settings<ActivationScheme>(record);
}

}  // namespace lowbit
