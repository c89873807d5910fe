#include <array>

#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/grid.h"

namespace lowbit {
namespace {

// What belongs to a format by name.
struct FormatTraits {
  std::string_view name;
  std::string_view codebook;  // empty: integer codes
  std::int64_t group = 128;
  ScaleType scale = ScaleType::kFloat16;
  ScaleRule rule = ScaleRule::kAbsmax;
  bool fixed = false;  // group and scales belong to the format's definition
};

constexpr std::array<FormatTraits, 17> kFormats = {{
    {"integer", ""},
    {"offset", ""},
    {"nf4", "nf4", 64},
    {"fp4", "fp4", 64},
    {"e2m1", "e2m1"},
    {"e2m3", "e2m3"},
    {"e3m2", "e3m2"},
    {"e4m3", "e4m3", -1},
    // A largest weight over 57344 would be a subnormal float16.
    {"e5m2", "e5m2", -1, ScaleType::kFloat32},
    {"ternary", "ternary", 0, ScaleType::kFloat16, ScaleRule::kAbsmean},
    {"mxfp4", "e2m1", 32, ScaleType::kE8M0, ScaleRule::kFloor, true},
    {"mxfp6_e2m3", "e2m3", 32, ScaleType::kE8M0, ScaleRule::kFloor, true},
    {"mxfp6_e3m2", "e3m2", 32, ScaleType::kE8M0, ScaleRule::kFloor, true},
    {"mxfp8_e4m3", "e4m3", 32, ScaleType::kE8M0, ScaleRule::kFloor, true},
    {"mxfp8_e5m2", "e5m2", 32, ScaleType::kE8M0, ScaleRule::kFloor, true},
    {"mxint8", "int8", 32, ScaleType::kE8M0, ScaleRule::kFloor, true},
    {"nvfp4", "e2m1", 16, ScaleType::kE4M3, ScaleRule::kAbsmax, true},
}};

const FormatTraits& traits_of(NumberFormat format) { return kFormats.at(static_cast<std::size_t>(format)); }

void check_fixed(const FormatTraits& traits, const GridOptions& options) {
  if (options.group != traits.group) {
    fail(ErrorCode::kConfig, "format {} has groups of {}, not {}; leave 'group' out", traits.name, traits.group,
         options.group);
  }
  if (options.scale != traits.scale) {
    fail(ErrorCode::kConfig, "format {} has scales of type {}, not {}; leave 'scale' out", traits.name,
         scale_type_name(traits.scale), scale_type_name(options.scale));
  }
}

}  // namespace

GridOptions GridOptions::of(NumberFormat format) {
  const FormatTraits& traits = traits_of(format);
  GridOptions options;
  options.format = format;
  if (!traits.codebook.empty()) options.bits = find_codebook(traits.codebook).bits;
  options.group = traits.group;
  options.scale = traits.scale;
  options.scale_rule = traits.rule;
  return options;
}

void GridOptions::visit(FieldVisitor& v) {
  const NumberFormat before = format;
  v.choice("format", format,
           {"integer", "offset", "nf4", "fp4", "e2m1", "e2m3", "e3m2", "e4m3", "e5m2", "ternary", "mxfp4", "mxfp6_e2m3",
            "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8", "nvfp4"},
           "numbers that codes stand for; each has its own defaults of the keys below (docs/number-formats.md)");
  if (format != before) *this = of(format);
  v.field("bits", bits, "width of a code in bits", {2, 8});
  v.field("group", group, "input columns that share a scale; -1: one a row, 0: one a tensor", {-1, 1 << 24});
  v.choice("symmetry", symmetry, {"asymmetric", "sym_offset", "sym_restricted", "sym_full_signed"},
           "which range the grid covers (format integer)");
  v.choice("scale", scale, {"float16", "bfloat16", "float32", "e8m0", "e4m3", "uint8"},
           "type that scales are rounded to; uint8: whole multiples of one number a row (two levels)");
  v.choice("scale_rule", scale_rule, {"absmax", "absmean", "floor", "even"},
           "how a scale follows from its group (codebooks); floor, even: powers of two");
  v.field("nested_bits", nested_bits, "bits of scales that are quantized again; 0: they are not", {0, 8});
  v.field("nested_run", nested_run, "rows whose scales are quantized together", {1, 1 << 20});
}

void GridOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  try {
    (void)spec();
  } catch (const Error& error) {
    problems.add(mark, error.what());
  }
}

GridSpec GridOptions::spec() const {
  const FormatTraits& traits = traits_of(format);
  GridSpec grid;
  grid.bits = bits;
  grid.group = group;
  grid.scale_type = scale;
  grid.scale_rule = scale_rule;
  grid.nested_bits = nested_bits;
  grid.nested_run = nested_run;
  if (!traits.codebook.empty()) {
    grid.kind = GridKind::kCodebook;
    grid.codebook = traits.codebook;
  } else if (format == NumberFormat::kOffset) {
    grid.kind = GridKind::kOffset;
  } else {
    grid.symmetry = symmetry;
  }
  if (format != NumberFormat::kInteger && symmetry != Symmetry::kAsymmetric) {
    fail(ErrorCode::kConfig, "'symmetry' is for format integer; leave it out with format {}", traits.name);
  }
  if (traits.fixed) check_fixed(traits, *this);
  grid.check();
  return grid;
}

}  // namespace lowbit
