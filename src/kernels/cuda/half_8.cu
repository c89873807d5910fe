#include "kernels/cuda/half_launch.cuh"

namespace lowbit::kernels::cuda {

template bool launch_skinny<8>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool launch_tiled<8>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool launch_expand<8>(NumberKind, const ExpandCall&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
