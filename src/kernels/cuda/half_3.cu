#include "kernels/cuda/half_launch.cuh"

namespace lowbit::kernels::cuda {

template bool DeviceWidths::skinny<3>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool DeviceWidths::expand<3>(NumberKind, const ExpandCall&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
