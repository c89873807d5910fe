#include "kernels/cuda/half_launch.cuh"

namespace lowbit::kernels::cuda {

template bool launch_skinny<4>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool launch_tiled<4>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool launch_expand<4>(NumberKind, const ExpandCall&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
