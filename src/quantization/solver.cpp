#include "lowbit/quantization/solver.h"

#include "quantization/solvers/rounding.h"

namespace lowbit {

at::Tensor WeightSolver::approximate(const at::Tensor& weight) const {
  return round_to_nearest(weight, grid(), Clip::kNone).dequantize();
}

}  // namespace lowbit
