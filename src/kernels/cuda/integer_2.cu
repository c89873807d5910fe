#include "kernels/cuda/integer_launch.cuh"

namespace lowbit::kernels::cuda {

template bool DeviceWidths::integer<2>(int, const IntegerProduct&, const Launch&, Report*);
template bool DeviceWidths::integer_tiles<2>(const IntegerProduct&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
