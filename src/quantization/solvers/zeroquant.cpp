#include "quantization/solvers/zeroquant.h"

namespace lowbit {

void ZeroQuantOptions::visit(FieldVisitor& v) {
  v.field("bits", bits, "width of a code in bits", {2, 8});
  v.field("group", group, "input columns that share a scale; -1: one a row, 0: one a tensor", {-1, 1 << 24});
  v.choice("scale", scale, {"float16", "bfloat16", "float32", "e8m0"}, "type that scales are rounded to");
}

RtnOptions ZeroQuantOptions::rtn() const {
  RtnOptions options;
  options.grid.bits = bits;
  options.grid.group = group;
  options.grid.symmetry = Symmetry::kSymRestricted;
  options.grid.scale = scale;
  return options;
}

}  // namespace lowbit
