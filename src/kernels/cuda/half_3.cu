#include "kernels/cuda/half_launch.cuh"

namespace lowbit::kernels::cuda {

template bool launch_skinny<3>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool launch_expand<3>(NumberKind, const ExpandCall&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
