#include "kernels/cuda/half_launch.cuh"

namespace lowbit::kernels::cuda {

template bool DeviceWidths::skinny<8>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool DeviceWidths::tiled<8>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool DeviceWidths::expand<8>(NumberKind, const ExpandCall&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
