#include "lowbit/formats/grid.h"

#include <array>

#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"

namespace lowbit {
namespace {

constexpr std::array<std::string_view, 6> kScaleNames = {"float16", "bfloat16", "float32", "e8m0", "e4m3", "uint8"};
constexpr std::array<std::string_view, 4> kRuleNames = {"absmax", "absmean", "floor", "even"};
constexpr std::array<std::string_view, 4> kSymmetryNames = {"asymmetric", "sym_offset", "sym_restricted",
                                                            "sym_full_signed"};
constexpr std::array<std::string_view, 3> kKindNames = {"integer", "offset", "codebook"};

template <typename Enum, std::size_t count>
Enum named(std::string_view name, const std::array<std::string_view, count>& names, const char* what) {
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  fail(ErrorCode::kData, "unknown {} '{}'", what, name);
}

std::string group_text(std::int64_t group) {
  if (group == -1) return "per channel";
  if (group == 0) return "per tensor";
  return fmt::format("g{}", group);
}

}  // namespace

std::string_view scale_type_name(ScaleType type) { return kScaleNames.at(static_cast<std::size_t>(type)); }
std::string_view symmetry_name(Symmetry symmetry) { return kSymmetryNames.at(static_cast<std::size_t>(symmetry)); }
std::string_view grid_kind_name(GridKind kind) { return kKindNames.at(static_cast<std::size_t>(kind)); }
ScaleType scale_type_named(std::string_view name) { return named<ScaleType>(name, kScaleNames, "scale type"); }
Symmetry symmetry_named(std::string_view name) { return named<Symmetry>(name, kSymmetryNames, "symmetry"); }
std::string_view scale_rule_name(ScaleRule rule) { return kRuleNames.at(static_cast<std::size_t>(rule)); }
ScaleRule scale_rule_named(std::string_view name) { return named<ScaleRule>(name, kRuleNames, "scale rule"); }
GridKind grid_kind_named(std::string_view name) { return named<GridKind>(name, kKindNames, "grid kind"); }

int scale_type_bits(ScaleType type) {
  switch (type) {
    case ScaleType::kFloat16:
    case ScaleType::kBFloat16: return 16;
    case ScaleType::kFloat32: return 32;
    case ScaleType::kE8M0:
    case ScaleType::kE4M3:
    case ScaleType::kUint8: return 8;
  }
  fail(ErrorCode::kInternal, "unknown scale type {}", static_cast<int>(type));
}

std::int64_t GridSpec::groups(std::int64_t in_features) const {
  return group <= 0 ? 1 : (in_features + group - 1) / group;
}

std::string GridSpec::text() const {
  std::string kind_text;
  switch (kind) {
    case GridKind::kInteger:
      kind_text = fmt::format("int{} {} {}", bits, group_text(group), symmetry_name(symmetry));
      break;
    case GridKind::kOffset: kind_text = fmt::format("int{} {} real zero", bits, group_text(group)); break;
    case GridKind::kCodebook: kind_text = fmt::format("{} {}", codebook, group_text(group)); break;
  }
  if (scale_type != ScaleType::kFloat16) kind_text += fmt::format(", {} scales", scale_type_name(scale_type));
  if (scale_rule != ScaleRule::kAbsmax) kind_text += fmt::format(" by {}", scale_rule_name(scale_rule));
  if (nested_bits > 0) kind_text += fmt::format(", scales nested in {} bits x {}", nested_bits, nested_run);
  return kind_text;
}

void GridSpec::check() const {
  if (bits < 2 || bits > 8) fail(ErrorCode::kConfig, "grid: {} bits, expected 2 to 8", bits);
  if (group < -1) {
    fail(ErrorCode::kConfig, "grid: group {}, expected a number of columns, -1 (per channel) or 0 (per tensor)", group);
  }
  if (kind == GridKind::kCodebook) {
    const Codebook& table = find_codebook(codebook);
    if (table.bits != bits)
      fail(ErrorCode::kConfig, "grid: codebook '{}' has {} bits, not {}", codebook, table.bits, bits);
  } else if (symmetry == Symmetry::kSymFullSigned && scale_type == ScaleType::kE8M0) {
    fail(ErrorCode::kConfig, "grid: scale type e8m0 has no sign, which symmetry sym_full_signed needs");
  } else if (kind == GridKind::kOffset && scale_type == ScaleType::kE8M0) {
    fail(ErrorCode::kConfig, "grid: scale type e8m0 holds powers of two only and cannot store real zeros");
  }
  check_scales();
}

void GridSpec::check_scales() const {
  const bool powers = scale_rule == ScaleRule::kFloor || scale_rule == ScaleRule::kEven;
  if (scale_rule != ScaleRule::kAbsmax && kind != GridKind::kCodebook) {
    fail(ErrorCode::kConfig, "grid: scale rule {} is for codebooks; integer grids follow their symmetry",
         scale_rule_name(scale_rule));
  }
  if (powers && find_codebook(codebook).significand_bits == 0) {
    fail(ErrorCode::kConfig, "grid: scale rule {} needs a floating-point codebook, and '{}' is none",
         scale_rule_name(scale_rule), codebook);
  }
  if (scale_type == ScaleType::kE4M3 && (kind == GridKind::kOffset || symmetry == Symmetry::kSymFullSigned)) {
    fail(ErrorCode::kConfig, "grid: scale type e4m3 holds positive scales only, no real zeros and no signed scales");
  }
  if (scale_type == ScaleType::kUint8 && (kind != GridKind::kInteger || bits > 4 || group == 0 || nested_bits > 0 ||
                                          symmetry == Symmetry::kSymFullSigned)) {
    fail(ErrorCode::kConfig,
         "grid: scale type uint8 is for integer codes of 2 to 4 bits with positive scales of groups or rows, which are "
         "not nested; choose float16 for {}",
         text());
  }
  if (nested_bits == 0) return;
  if (nested_bits < 2 || nested_bits > 8 || nested_run < 1) {
    fail(ErrorCode::kConfig, "grid: scales nested in {} bits, runs of {} rows; expected 2 to 8 bits, at least 1 row",
         nested_bits, nested_run);
  }
  if (scale_type == ScaleType::kE8M0 || scale_type == ScaleType::kE4M3 || group == 0) {
    fail(ErrorCode::kConfig, "grid: scales of {} cannot be nested; choose float16, bfloat16 or float32 and groups",
         group == 0 ? "a whole tensor" : scale_type_name(scale_type));
  }
  if (kind == GridKind::kInteger && symmetry == Symmetry::kSymFullSigned) {
    fail(ErrorCode::kConfig, "grid: symmetry sym_full_signed has signed scales, which cannot be nested");
  }
}

}  // namespace lowbit
