#pragma once

#include "kernels/cuda/expand.h"
#include "kernels/cuda/half_sums.h"
#include "kernels/cuda/integer.h"
#include "kernels/cuda/output.h"
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/report.h"
#include "kernels/cuda/round_float8.h"

// The launching functions of each width, which half_N.cu and integer_N.cu define.
namespace lowbit::kernels::cuda {

struct DeviceWidths {
  template <int kBits>
  static bool skinny(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
  template <int kBits>
  static bool table(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
  template <int kBits>
  static bool tiled(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
  template <int kBits>
  static bool expand(NumberKind number, const ExpandCall& call, const Launch& launch, Report* report);
  template <int kBits>
  static bool integer(int planes, const IntegerProduct& call, const Launch& launch, Report* report);
  template <int kBits>
  static bool integer_tiles(const IntegerProduct& call, const Launch& launch, Report* report);
  static bool quantize(int planes, const QuantizeCall& call, const Launch& launch, Report* report);
  static bool round_float8(const RoundFloat8Call& call, const Launch& launch, Report* report);
  static bool arrange(const ArrangeCall& call, const Launch& launch, Report* report);
};

}  // namespace lowbit::kernels::cuda
