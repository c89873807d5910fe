#pragma once

#include <cstdint>

#include "quantization/solvers/rtn.h"

namespace lowbit {

/// ZeroQuant's weights (Yao et al., arXiv 2206.01861): group-wise symmetric rounding to nearest, the scale being the
/// group's largest magnitude over 2^(b-1) - 1. A name and defaults for `rtn`; the distillation of the paper is not part
/// of it, and neither are its activations, which are a step of their own.
struct ZeroQuantOptions {
  int bits = 8;
  std::int64_t group = 128;
  ScaleType scale = ScaleType::kFloat16;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const { rtn().validate(problems, mark); }
  [[nodiscard]] RtnOptions rtn() const;
};

}  // namespace lowbit
