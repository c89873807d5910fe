#include "kernels/cuda/half_launch.cuh"

namespace lowbit::kernels::cuda {

template bool DeviceWidths::skinny<4>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool DeviceWidths::tiled<4>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool DeviceWidths::expand<4>(NumberKind, const ExpandCall&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
